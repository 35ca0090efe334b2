/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fatbin container, as nvcc and fatbinary write it: a header, then entries
 * that each hold one PTX text or one ELF for one architecture.
 */
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "device.h"
#include "fatbin.h"
#include "image.h"

#define FATBIN_VERSION 1

/* Ours: a part of a linked image.  The real tools use the low bits. */
#define ENTRY_FLAG_PART ((uint64_t)1 << 62)

/* The largest PTX texts known (libraries of linear algebra) have some tens of MiB. */
#define TEXT_BYTES_MAXIMUM ((uint64_t)256 << 20)
#define DEVICE_SM	   (DEVICE_CAPABILITY_MAJOR * 10 + DEVICE_CAPABILITY_MINOR)

bool fatbin_bytes(const void *data, size_t *ret_bytes)
{
	struct fatbin_header header;
	uint64_t bytes;

	memcpy(&header, data, sizeof(header));
	if (header.magic != FATBIN_MAGIC || header.header_bytes < sizeof(header) ||
	    __builtin_add_overflow(header.entries_bytes, header.header_bytes, &bytes) || bytes > SIZE_MAX / 2)
		return false;
	*ret_bytes = bytes;
	return true;
}

static CUresult lz4_expand(const unsigned char *payload, size_t bytes, char *text, size_t text_bytes)
{
	int done = LZ4_decompress_safe((const char *)payload, text, (int)bytes, (int)text_bytes);

	return done >= 0 && (size_t)done == text_bytes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}

static CUresult zstd_expand(const unsigned char *payload, size_t bytes, char *text, size_t text_bytes)
{
	size_t done = ZSTD_decompress(text, text_bytes, payload, bytes);

	return !ZSTD_isError(done) && done == text_bytes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}

static CUresult entry_add(const struct fatbin_entry *entry, const unsigned char *payload, struct image *image)
{
	CUresult result;
	char *text;

	if (!(entry->flags & (FATBIN_FLAG_LZ4 | FATBIN_FLAG_ZSTD)))
		return entry->payload_bytes > TEXT_BYTES_MAXIMUM
			       ? CUDA_ERROR_INVALID_IMAGE
			       : image_add(image, (const char *)payload, entry->payload_bytes);
	if (!entry->unpacked_bytes || entry->unpacked_bytes > TEXT_BYTES_MAXIMUM ||
	    entry->compressed_bytes > entry->payload_bytes || entry->compressed_bytes > TEXT_BYTES_MAXIMUM)
		return CUDA_ERROR_INVALID_IMAGE;
	text = malloc(entry->unpacked_bytes);
	if (!text)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (entry->flags & FATBIN_FLAG_LZ4)
		result = lz4_expand(payload, entry->compressed_bytes, text, entry->unpacked_bytes);
	else
		result = zstd_expand(payload, entry->compressed_bytes, text, entry->unpacked_bytes);
	if (!result)
		result = image_add(image, text, entry->unpacked_bytes);
	free(text);
	return result;
}

CUresult fatbin_read(const void *data, size_t bytes, struct image *image)
{
	const unsigned char *best_payload = NULL;
	struct fatbin_entry best = {0}, entry;
	bool others = false, parts = false;
	struct fatbin_entries entries;
	struct fatbin_header header;
	const unsigned char *payload;
	CUresult result;
	int found;

	if (!fatbin_entries_begin(&entries, data, bytes))
		return CUDA_ERROR_INVALID_IMAGE;
	memcpy(&header, data, sizeof(header));
	if (header.version != FATBIN_VERSION)
		return CUDA_ERROR_INVALID_IMAGE;
	while ((found = fatbin_entries_next(&entries, &entry, &payload)) > 0) {
		if (entry.kind != FATBIN_KIND_PTX || entry.architecture > DEVICE_SM) {
			others = true;
		} else if (entry.flags & ENTRY_FLAG_PART) {
			result = entry_add(&entry, payload, image);
			if (result)
				return result;
			parts = true;
		} else if (!best_payload || entry.architecture > best.architecture) {
			best = entry;
			best_payload = payload;
		}
	}
	if (found < 0)
		return CUDA_ERROR_INVALID_IMAGE;
	if (best_payload)
		return entry_add(&best, best_payload, image);
	if (parts)
		return CUDA_SUCCESS;
	return others ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_ERROR_INVALID_IMAGE;
}

CUresult fatbin_write(const struct image *image, void **ret_data, size_t *ret_bytes)
{
	struct fatbin_header header = {
		.magic = FATBIN_MAGIC,
		.version = FATBIN_VERSION,
		.header_bytes = sizeof(header),
	};
	unsigned char *data, *at;

	for (size_t index = 0; index < image->count; index++)
		header.entries_bytes += sizeof(struct fatbin_entry) + ((image->texts[index].bytes + 8) & ~(size_t)7);
	data = calloc(1, sizeof(header) + header.entries_bytes);
	if (!data)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(data, &header, sizeof(header));
	at = data + sizeof(header);
	for (size_t index = 0; index < image->count; index++) {
		const struct fatbin_entry entry = {
			.kind = FATBIN_KIND_PTX,
			.version = 0x101,
			.header_bytes = sizeof(entry),
			.payload_bytes = (image->texts[index].bytes + 8) & ~(size_t)7,
			.architecture = DEVICE_SM,
			.flags = ENTRY_FLAG_PART,
		};

		memcpy(at, &entry, sizeof(entry));
		memcpy(at + sizeof(entry), image->texts[index].text, image->texts[index].bytes);
		at += sizeof(entry) + entry.payload_bytes;
	}
	*ret_data = data;
	*ret_bytes = sizeof(header) + header.entries_bytes;
	return CUDA_SUCCESS;
}
