/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "cubin.h"

/* What nvcc's object files register. */
struct wrapper {
	uint32_t magic;
	uint32_t version; /* 1, or 2 for relocatable device code */
	const void *fatbin;
	const void *const *prelinked; /* version 2: fatbins of the objects that were linked, up to NULL */
};
_Static_assert(sizeof(struct wrapper) == 24, "layout");

/* As many objects as no link line holds: the list must end somewhere. */
#define PRELINKED_MAXIMUM 65536

void image_free(struct image *image)
{
	for (size_t index = 0; index < image->count; index++)
		free((char *)image->texts[index].text);
	free(image->texts);
	for (size_t index = 0; index < image->placement_count; index++)
		free((char *)image->placements[index].name);
	free(image->placements);
	*image = (struct image){0};
}

CUresult image_add(struct image *image, const char *text, size_t bytes)
{
	struct engine_ptx *texts = realloc(image->texts, (image->count + 1) * sizeof(*texts));
	char *copy;

	if (!texts)
		return CUDA_ERROR_OUT_OF_MEMORY;
	image->texts = texts;
	while (bytes && !text[bytes - 1])
		bytes--;
	if (!bytes)
		return CUDA_ERROR_INVALID_IMAGE;
	copy = malloc(bytes);
	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(copy, text, bytes);
	texts[image->count++] = (struct engine_ptx){.text = copy, .bytes = bytes};
	return CUDA_SUCCESS;
}

CUresult image_place(struct image *image, const char *name, uint64_t address)
{
	struct engine_placement *placements =
		realloc(image->placements, (image->placement_count + 1) * sizeof(*placements));
	char *copy;

	if (!placements)
		return CUDA_ERROR_OUT_OF_MEMORY;
	image->placements = placements;
	copy = strdup(name);
	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	placements[image->placement_count++] = (struct engine_placement){.name = copy, .address = address};
	return CUDA_SUCCESS;
}

static CUresult fatbin_read_unbounded(const void *data, struct image *image)
{
	size_t bytes;

	if (!fatbin_bytes(data, &bytes))
		return CUDA_ERROR_INVALID_IMAGE;
	return fatbin_read(data, bytes, image);
}

static CUresult wrapper_read(const void *data, struct image *image)
{
	struct wrapper wrapper;
	CUresult result;

	memcpy(&wrapper, data, sizeof(wrapper));
	/* The linked fatbin of version 2 is machine code; the PTX is in what was linked. */
	if (wrapper.version == 2 && wrapper.prelinked && wrapper.prelinked[0]) {
		for (size_t index = 0; wrapper.prelinked[index]; index++) {
			if (index == PRELINKED_MAXIMUM)
				return CUDA_ERROR_INVALID_IMAGE;
			result = fatbin_read_unbounded(wrapper.prelinked[index], image);
			if (result)
				return result;
		}
		return CUDA_SUCCESS;
	}
	if ((wrapper.version != 1 && wrapper.version != 2) || !wrapper.fatbin)
		return CUDA_ERROR_INVALID_IMAGE;
	return fatbin_read_unbounded(wrapper.fatbin, image);
}

/* PTX is printable text with the usual white space; anything else is some other file. */
static bool text_plausible(const char *text, size_t *ret_bytes)
{
	size_t bytes = 0;

	for (; text[bytes]; bytes++) {
		unsigned char byte = (unsigned char)text[bytes];

		if (byte < ' ' && byte != '\n' && byte != '\r' && byte != '\t' && byte != '\f' && byte != '\v')
			return false;
	}
	*ret_bytes = bytes;
	return bytes;
}

/* Compares without reading beyond the first difference: the image may be shorter than the magic. */
static bool begins_with(const unsigned char *data, const char *magic, size_t bytes)
{
	for (size_t index = 0; index < bytes; index++)
		if (data[index] != (unsigned char)magic[index])
			return false;
	return true;
}

CUresult image_read(const void *data, struct image *ret_image)
{
	struct image image = {0};
	size_t bytes;
	CUresult result;

	if (begins_with(data, "\xb1\x43\x62\x46", 4))
		result = wrapper_read(data, &image);
	else if (begins_with(data, "\x50\xed\x55\xba", 4))
		result = fatbin_read_unbounded(data, &image);
	else if (begins_with(data, CUBIN_MAGIC, 8))
		result = cubin_read(data, &image);
	else if (begins_with(data, ELFMAG, SELFMAG))
		result = CUDA_ERROR_NO_BINARY_FOR_GPU;
	else if (text_plausible(data, &bytes))
		result = image_add(&image, data, bytes);
	else
		result = CUDA_ERROR_INVALID_IMAGE;
	if (result)
		image_free(&image);
	else
		*ret_image = image;
	return result;
}
