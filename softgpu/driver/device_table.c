/* SPDX-License-Identifier: Apache-2.0 */
#include "device_table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "arena.h"
#include "driver.h"

#define DEFAULT_MEMORY_BYTES ((uint64_t)4 << 30)
#define UUID_TEXT_BYTES	     48

/* As the machine has it, whoever sees it. */
struct machine_device {
	uint64_t memory_bytes;
};

static struct machine_device machine[DEVICES_MAX];
static unsigned machine_count;
static uint64_t context_bytes;
static unsigned visible[DEVICES_MAX]; /* indices of the above */
static unsigned visible_count;
static bool are_instances; /* of a GPU in MIG mode */

/* A version 8 UUID (RFC 9562: the bits mean what their maker says), the same on every machine. */
static CUuuid uuid_of(unsigned index)
{
	CUuuid uuid = {{'s', 'o', 'f', 't', 'g', 'p', (char)0x80, 'u', (char)0x80, 0, 0, 0, 0, 0, 0, 0}};

	uuid.bytes[15] = (char)(index + 1);
	return uuid;
}

static const char *uuid_prefix(void)
{
	return are_instances ? "MIG-" : "GPU-";
}

/* As tools write it; 'text' has UUID_TEXT_BYTES. */
static void uuid_print(unsigned index, char *text)
{
	CUuuid uuid = uuid_of(index);
	size_t length = (size_t)sprintf(text, "%s", uuid_prefix());

	for (int i = 0; i < 16; i++)
		length += (size_t)sprintf(text + length, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
					  (unsigned char)uuid.bytes[i]);
}

static CUresult count_read(void)
{
	const char *text = getenv("SOFTGPU_DEVICES");
	unsigned long count = 1;
	char *end;

	if (text && *text) {
		count = strtoul(text, &end, 10);
		if (*end || *text == '-' || !count || count > DEVICES_MAX) {
			fprintf(stderr, "softgpu: SOFTGPU_DEVICES=%s is not a number of devices (1 to %d)\n", text,
				DEVICES_MAX);
			return CUDA_ERROR_INVALID_VALUE;
		}
	}
	machine_count = (unsigned)count;
	return CUDA_SUCCESS;
}

/* Sizes with commas between them; the last one is that of all further devices. */
static CUresult memory_read(void)
{
	const char *text = getenv("SOFTGPU_MEMORY_BYTES");
	const char *at = text;
	unsigned long long bytes = DEFAULT_MEMORY_BYTES;
	char *end;

	for (unsigned i = 0; i < machine_count; i++) {
		if (at && *at) {
			bytes = strtoull(at, &end, 0);
			if (end == at || (*end && *end != ',') || *at == '-' || bytes < ARENA_PAGE_BYTES) {
				fprintf(stderr, "softgpu: SOFTGPU_MEMORY_BYTES=%s is not a number of bytes\n", text);
				return CUDA_ERROR_INVALID_VALUE;
			}
			at = *end ? end + 1 : end;
		}
		machine[i].memory_bytes = bytes & ~(uint64_t)(ARENA_PAGE_BYTES - 1);
	}
	return CUDA_SUCCESS;
}

static CUresult context_bytes_read(void)
{
	const char *text = getenv("SOFTGPU_CONTEXT_BYTES");
	char *end;

	if (!text || !*text)
		return CUDA_SUCCESS;
	context_bytes = strtoull(text, &end, 0);
	if (!*end && *text != '-')
		return CUDA_SUCCESS;
	fprintf(stderr, "softgpu: SOFTGPU_CONTEXT_BYTES=%s is not a number of bytes\n", text);
	return CUDA_ERROR_INVALID_VALUE;
}

bool device_pageable_access(void)
{
	const char *text = getenv("SOFTGPU_PAGEABLE_ACCESS");

	return text && strcmp(text, "1") == 0;
}

/* The device that an entry of CUDA_VISIBLE_DEVICES names; -1: none, or more than one. */
static int entry_find(const char *entry, size_t length)
{
	char text[UUID_TEXT_BYTES];
	unsigned long number;
	int found = -1;
	char *end;

	if (!length)
		return -1;
	if (isdigit((unsigned char)*entry)) {
		number = strtoul(entry, &end, 10);
		return end == entry + length && number < machine_count ? (int)number : -1;
	}
	if (length <= strlen(uuid_prefix()))
		return -1;
	for (unsigned i = 0; i < machine_count; i++) {
		uuid_print(i, text);
		if (strncasecmp(text, entry, length) != 0)
			continue;
		if (found >= 0)
			return -1;
		found = (int)i;
	}
	return found;
}

static bool is_visible(unsigned index)
{
	for (unsigned i = 0; i < visible_count; i++)
		if (visible[i] == index)
			return true;
	return false;
}

static void visible_read(void)
{
	const char *entry = getenv("CUDA_VISIBLE_DEVICES");

	if (!entry) {
		for (unsigned i = 0; i < machine_count; i++)
			visible[visible_count++] = i;
		return;
	}
	for (;;) {
		size_t length = strcspn(entry, ",");
		int index;

		while (length && isspace((unsigned char)*entry)) {
			entry++;
			length--;
		}
		while (length && isspace((unsigned char)entry[length - 1]))
			length--;
		index = entry_find(entry, length);
		if (index < 0 || is_visible((unsigned)index))
			return;
		visible[visible_count++] = (unsigned)index;
		entry = strchr(entry, ',');
		if (!entry)
			return;
		entry++;
	}
}

CUresult device_table_open(void)
{
	CUresult result;

	visible_count = 0;
	are_instances = getenv("SOFTGPU_MIG") != NULL;
	result = count_read();
	if (!result)
		result = memory_read();
	if (!result)
		result = context_bytes_read();
	if (result)
		return result;
	visible_read();
	/* A process sees one instance only, the first one that it names. */
	if (are_instances && visible_count > 1)
		visible_count = 1;
	return visible_count ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

int device_count(void)
{
	return (int)visible_count;
}

bool device_exists(CUdevice device)
{
	return device >= 0 && device < (int)visible_count;
}

CUresult device_check(CUdevice device)
{
	CUresult result = driver_check();

	if (!result && !device_exists(device))
		result = CUDA_ERROR_INVALID_DEVICE;
	return result;
}

uint64_t device_context_bytes(void)
{
	return context_bytes;
}

uint64_t device_memory_bytes(CUdevice device)
{
	return machine[visible[device]].memory_bytes;
}

CUuuid device_uuid(CUdevice device)
{
	return uuid_of(visible[device]);
}

unsigned device_bus(CUdevice device)
{
	return visible[device];
}
