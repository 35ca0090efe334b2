/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "image_packed.h"
#include "image_print.h"

#define WRAPPER_MAGIC	       0x466243b1u
#define WRAPPER_VERSION_LINKED 2
#define PIECES_MAX	       4096

struct piece {
	const uint8_t *bytes;
	size_t count;
};

/* The next piece at *offset: its length, its bytes, padding to 8. */
static bool piece_next(const uint8_t *staged, size_t total, size_t *offset, struct piece *ret_piece)
{
	uint64_t bytes;
	uint64_t padded;

	if (total - *offset < sizeof(bytes))
		return false;
	memcpy(&bytes, staged + *offset, sizeof(bytes));
	*offset += sizeof(bytes);
	if (bytes > total - *offset)
		return false;
	*ret_piece = (struct piece){.bytes = staged + *offset, .count = bytes};
	padded = (bytes + 7) & ~7ull;
	*offset += padded < total - *offset ? padded : total - *offset;
	return true;
}

static CUresult fatbin_check(struct image *image, const struct piece *piece)
{
	return image_fatbin_is_sound(piece->bytes, piece->count)
		       ? image_packed_check(piece->bytes, image->families, &image->unpacked_bytes)
		       : CUDA_ERROR_INVALID_IMAGE;
}

/* The pieces of a wrapper: its fatbin, then the prelinked ones. */
static CUresult wrapper_build(struct image *image, size_t total)
{
	size_t offset = 0;
	size_t count = 0;
	struct piece piece;

	image->prelinked = calloc(PIECES_MAX + 1, sizeof(*image->prelinked));
	if (!image->prelinked)
		return CUDA_ERROR_OUT_OF_MEMORY;
	while (offset < total) {
		CUresult result;

		if (count > PIECES_MAX || !piece_next(image->staged, total, &offset, &piece))
			return CUDA_ERROR_INVALID_IMAGE;
		result = fatbin_check(image, &piece);
		if (result)
			return result;
		if (count == 0)
			image->wrapper.fatbin = piece.bytes;
		else
			image->prelinked[count - 1] = piece.bytes;
		count++;
	}
	if (count == 0)
		return CUDA_ERROR_INVALID_IMAGE;
	image->wrapper.magic = WRAPPER_MAGIC;
	image->wrapper.version = WRAPPER_VERSION_LINKED;
	image->wrapper.prelinked = image->prelinked;
	image->pointer = &image->wrapper;
	return CUDA_SUCCESS;
}

static CUresult single_check(struct image *image, size_t total, uint32_t kind)
{
	size_t offset = 0;
	struct piece piece;

	if (!piece_next(image->staged, total, &offset, &piece))
		return CUDA_ERROR_INVALID_IMAGE;
	image->pointer = piece.bytes;
	image->pointer_bytes = piece.count;
	switch (kind) {
	case IMAGE_PTX:
		if (!image_ptx_is_sound(piece.bytes, piece.count))
			return CUDA_ERROR_INVALID_PTX;
		/* Padding, or the byte behind what was staged. */
		image->staged[(size_t)(piece.bytes - image->staged) + piece.count] = 0;
		image->pointer_bytes++;
		return CUDA_SUCCESS;
	case IMAGE_FATBIN:
		return fatbin_check(image, &piece);
	case IMAGE_ELF:
		if (!image_elf_is_sound(piece.bytes, piece.count))
			return CUDA_ERROR_INVALID_IMAGE;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult archive_check(struct image *image, size_t total)
{
	size_t offset = 0;
	struct piece piece;

	if (!piece_next(image->staged, total, &offset, &piece) || !image_archive_is_sound(piece.bytes, piece.count))
		return CUDA_ERROR_INVALID_IMAGE;
	image->pointer = piece.bytes;
	image->pointer_bytes = piece.count;
	return CUDA_SUCCESS;
}

static CUresult input_check(struct image *image, size_t total, CUjitInputType type)
{
	switch (type) {
	case CU_JIT_INPUT_PTX:
		return single_check(image, total, IMAGE_PTX);
	case CU_JIT_INPUT_FATBINARY:
		return single_check(image, total, IMAGE_FATBIN);
	case CU_JIT_INPUT_CUBIN:
	case CU_JIT_INPUT_OBJECT:
		return single_check(image, total, IMAGE_ELF);
	case CU_JIT_INPUT_LIBRARY:
		return archive_check(image, total);
	case CU_JIT_INPUT_NVVM:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult image_take_input(struct stage *stage, CUjitInputType type, uint64_t families, struct image *ret_image)
{
	size_t total = stage->used;
	CUresult result;

	*ret_image = (struct image){.families = families};
	result = stage_take(stage, &ret_image->staged);
	if (!result)
		result = input_check(ret_image, total, type);
	if (result)
		image_release(ret_image);
	return result;
}

CUresult image_take(struct stage *stage, uint32_t kind, uint64_t families, struct image *ret_image)
{
	size_t total = stage->used;
	CUresult result;

	*ret_image = (struct image){.staged_bytes = total, .kind = kind, .families = families};
	result = stage_take(stage, &ret_image->staged);
	if (result)
		return result;
	result = kind == IMAGE_WRAPPER ? wrapper_build(ret_image, total) : single_check(ret_image, total, kind);
	if (result)
		image_release(ret_image);
	return result;
}

bool image_may_print(const struct image *image)
{
	switch (image->kind) {
	case IMAGE_FATBIN:
		return image_fatbin_may_print(image->pointer);
	case IMAGE_WRAPPER:
		for (size_t i = 0; image->prelinked[i]; i++) {
			if (image_fatbin_may_print(image->prelinked[i]))
				return true;
		}
		return image_fatbin_may_print(image->wrapper.fatbin);
	default:
		return image_code_may_print(image->pointer, image->pointer_bytes);
	}
}

void image_release(struct image *image)
{
	free(image->staged);
	free(image->prelinked);
	*image = (struct image){0};
}
