/* SPDX-License-Identifier: Apache-2.0 */
#include "image_packed.h"

#include <stdlib.h>

#include "driver.h"
#include "image_check.h"
#include "image_unpack.h"

#define FAMILY_FACTOR 10u /* of an architecture's number */
#define FAMILIES_MAX  64u
#define FAMILIES_ALL  UINT64_MAX

uint64_t image_families(const struct driver *driver)
{
	uint64_t families = 0;
	int count = 0;

	if (!driver->cuDeviceGetCount || !driver->cuDeviceGetAttribute || driver->cuDeviceGetCount(&count))
		return FAMILIES_ALL;
	for (int i = 0; i < count; i++) {
		int major = 0;

		if (driver->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, i) ||
		    major < 0 || major >= (int)FAMILIES_MAX)
			return FAMILIES_ALL;
		families |= 1ull << major;
	}
	return families;
}

static bool is_of_families(const struct fatbin_entry *entry, uint64_t families)
{
	const uint32_t family = entry->architecture / FAMILY_FACTOR;

	return families == FAMILIES_ALL || (family < FAMILIES_MAX && families >> family & 1);
}

static CUresult entry_check(const struct fatbin_entry *entry, const uint8_t *packed)
{
	uint8_t *code = malloc(entry->unpacked_bytes ? entry->unpacked_bytes : 1);
	size_t bytes;
	bool is_sound;

	if (!code)
		return CUDA_ERROR_OUT_OF_MEMORY;
	bytes = image_entry_unpack(entry, packed, code);
	is_sound = bytes == entry->unpacked_bytes && image_elf_is_sound(code, bytes);
	free(code);
	return is_sound ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}

CUresult image_packed_check(const uint8_t *fatbin, uint64_t families, uint64_t *unpacked_bytes)
{
	struct fatbin_entries entries = fatbin_entries_of(fatbin);
	CUresult result = CUDA_SUCCESS;
	struct fatbin_entry entry;
	const uint8_t *payload;

	while (!result && fatbin_entries_next(&entries, &entry, &payload) > 0) {
		if (entry.kind != FATBIN_KIND_ELF || !image_entry_is_packed(&entry) ||
		    !is_of_families(&entry, families))
			continue;
		if (entry.unpacked_bytes > IMAGE_UNPACKED_BYTES_MAX - *unpacked_bytes)
			return CUDA_ERROR_INVALID_IMAGE;
		*unpacked_bytes += entry.unpacked_bytes;
		result = entry_check(&entry, payload);
	}
	return result;
}
