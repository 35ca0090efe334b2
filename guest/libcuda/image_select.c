/* SPDX-License-Identifier: Apache-2.0 */
#include "image_select.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fatbin.h"

/* What is smaller is sent sooner than looked at. */
#define WORTHWHILE_BYTES 16384u

#define ARCHITECTURES_OF_A_MAJOR 10u

/* The header of the selection, and what follows it in the program's memory. */
struct selection {
	struct fatbin_header header;
	size_t capacity;
	size_t count;
	struct image_span spans[];
};

#define SPANS_FIRST 16u

static bool entry_serves(const struct fatbin_entry *entry, uint64_t majors)
{
	uint32_t major = entry->architecture / ARCHITECTURES_OF_A_MAJOR;

	return entry->kind != FATBIN_KIND_ELF || major >= 64 || majors >> major & 1;
}

/* The bytes of the entry at the offset; 0: there is none. */
static size_t entry_read(const struct image_piece *piece, size_t offset, struct fatbin_entry *ret_entry)
{
	uint64_t bytes;

	if (piece->bytes - offset < sizeof(*ret_entry))
		return 0;
	memcpy(ret_entry, piece->data + offset, sizeof(*ret_entry));
	if (ret_entry->header_bytes < sizeof(*ret_entry) ||
	    __builtin_add_overflow(ret_entry->payload_bytes, (uint64_t)ret_entry->header_bytes, &bytes) ||
	    bytes > piece->bytes - offset)
		return 0;
	return bytes;
}

/* Behind the last span, or one of its own. NULL: no memory, and the selection is gone. */
static struct selection *span_add(struct selection *selection, const uint8_t *data, size_t bytes)
{
	struct image_span *last = &selection->spans[selection->count - 1];
	struct selection *grown;

	selection->header.entries_bytes += bytes;
	if (last->data + last->bytes == data) {
		last->bytes += bytes;
		return selection;
	}
	if (selection->count == selection->capacity) {
		grown = realloc(selection, sizeof(*selection) + 2 * selection->capacity * sizeof(*last));
		if (!grown) {
			free(selection);
			return NULL;
		}
		selection = grown;
		selection->capacity *= 2;
	}
	selection->spans[selection->count++] = (struct image_span){.data = data, .bytes = bytes};
	return selection;
}

static struct selection *selection_begin(const struct fatbin_header *header)
{
	struct selection *selection = calloc(1, sizeof(*selection) + SPANS_FIRST * sizeof(selection->spans[0]));

	if (!selection)
		return NULL;
	selection->header = *header;
	selection->header.entries_bytes = 0;
	selection->capacity = SPANS_FIRST;
	/* The header's, which may move yet. */
	selection->count = 1;
	return selection;
}

CUresult image_select(struct image *image, uint64_t majors)
{
	struct image_piece *piece = &image->single;
	struct fatbin_header header;
	struct fatbin_entry entry;
	struct selection *selection;
	size_t offset = sizeof(header);
	size_t bytes;

	if (image->kind != IMAGE_FATBIN || piece->bytes < WORTHWHILE_BYTES)
		return CUDA_SUCCESS;
	memcpy(&header, piece->data, sizeof(header));
	if (header.header_bytes != sizeof(header))
		return CUDA_SUCCESS;
	selection = selection_begin(&header);
	for (; selection && offset < piece->bytes; offset += bytes) {
		bytes = entry_read(piece, offset, &entry);
		if (!bytes)
			break;
		if (entry_serves(&entry, majors))
			selection = span_add(selection, piece->data + offset, bytes);
	}
	if (!selection)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (offset < piece->bytes || selection->count == 1) {
		free(selection);
		return CUDA_SUCCESS;
	}
	selection->spans[0] = (struct image_span){.data = (const uint8_t *)&selection->header, .bytes = sizeof(header)};
	piece->bytes = sizeof(header) + selection->header.entries_bytes;
	piece->selection = selection;
	piece->spans = selection->spans;
	piece->span_count = selection->count;
	return CUDA_SUCCESS;
}
