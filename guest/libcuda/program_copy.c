/* SPDX-License-Identifier: Apache-2.0 */
#include "program_copy.h"

#include <string.h>

static uint8_t *row_find(const struct program_copy *copy, const struct program_rows *rows, size_t row)
{
	return rows->address + row / copy->height * rows->slice_bytes + row % copy->height * rows->row_bytes;
}

static bool piece_fits(const struct program_copy *copy, uint64_t offset, size_t bytes)
{
	uint64_t all = (uint64_t)copy->width_bytes * copy->height * copy->depth;

	return offset <= all && bytes <= all - offset;
}

/* The part of a row that begins at the offset: *ret_bytes, at most 'bytes'. */
static uint8_t *part_find(const struct program_copy *copy, uint64_t offset, size_t bytes, size_t *ret_bytes)
{
	size_t column = offset % copy->width_bytes;
	size_t left = copy->width_bytes - column;

	*ret_bytes = left < bytes ? left : bytes;
	return row_find(copy, &copy->rows, offset / copy->width_bytes) + column;
}

bool program_copy_fetch(const struct program_copy *copy, uint64_t offset, size_t bytes, uint8_t *to)
{
	if (!piece_fits(copy, offset, bytes))
		return false;
	while (bytes) {
		size_t part;
		const uint8_t *from = part_find(copy, offset, bytes, &part);

		memcpy(to, from, part);
		to += part;
		offset += part;
		bytes -= part;
	}
	return true;
}

bool program_copy_deliver(const struct program_copy *copy, uint64_t offset, size_t bytes, const uint8_t *from)
{
	if (!piece_fits(copy, offset, bytes))
		return false;
	while (bytes) {
		size_t part;
		uint8_t *to = part_find(copy, offset, bytes, &part);

		memcpy(to, from, part);
		from += part;
		offset += part;
		bytes -= part;
	}
	return true;
}

void program_copy_run(const struct program_copy *copy)
{
	for (size_t row = 0; row < copy->height * copy->depth; row++)
		memmove(row_find(copy, &copy->rows, row), row_find(copy, &copy->source, row), copy->width_bytes);
}
