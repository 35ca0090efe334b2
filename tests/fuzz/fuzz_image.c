/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer target: any bytes as a module's image, through all that looks into one before the driver does. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fatbin.h"
#include "image_check.h"
#include "image_print.h"
#include "image_unpack.h"
#include "managed_elf.h"

#define MANAGED_BYTES_MAX  (1u << 20)
#define UNPACKED_BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Of the exact size, so that the sanitizer sees every access beyond. */
static uint8_t *copy_of(const uint8_t *data, size_t bytes)
{
	uint8_t *copy = malloc(bytes ? bytes : 1);

	if (!copy)
		abort();
	memcpy(copy, data, bytes);
	return copy;
}

static void elf_try(uint8_t *elf, size_t bytes)
{
	struct managed_elf managed;

	if (!image_elf_is_sound(elf, bytes))
		return;
	image_code_may_print(elf, bytes);
	if (!managed_elf_find(elf, bytes, &managed) && managed.count && managed.bytes <= MANAGED_BYTES_MAX) {
		uint8_t *memory = malloc(managed.bytes);

		if (memory && !managed_elf_place(&managed, (uintptr_t)memory) && !image_elf_is_sound(elf, bytes))
			abort();
		free(memory);
	}
	managed_elf_release(&managed);
}

static void entry_try(const struct fatbin_entry *entry, const uint8_t *payload)
{
	uint8_t *code;
	size_t bytes;

	if (!image_entry_is_packed(entry) || entry->unpacked_bytes > UNPACKED_BYTES_MAX)
		return;
	code = malloc(entry->unpacked_bytes + 1);
	if (!code)
		abort();
	bytes = image_entry_unpack(entry, payload, code);
	if (bytes > entry->unpacked_bytes)
		abort();
	elf_try(code, bytes);
	free(code);
}

static void fatbin_try(const uint8_t *fatbin, size_t bytes)
{
	struct fatbin_entries entries;
	struct fatbin_entry entry;
	const uint8_t *payload;

	if (!image_fatbin_is_sound(fatbin, bytes))
		return;
	image_fatbin_may_print(fatbin);
	entries = fatbin_entries_of(fatbin);
	while (fatbin_entries_next(&entries, &entry, &payload) > 0)
		entry_try(&entry, payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t *image = copy_of(data, bytes);

	if (image_ptx_is_sound(image, bytes))
		image_code_may_print(image, bytes);
	fatbin_try(image, bytes);
	image_archive_is_sound(image, bytes);
	elf_try(image, bytes);
	free(image);
	return 0;
}
