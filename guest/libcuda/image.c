/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formats, as found in nvcc's output and described by public tools: a wrapper
 * {0x466243b1, version, data, file name or linked fatbins} points to a fatbin
 * (fatbin.h); else ELF; else PTX text.
 */
#include "image.h"

#include <elf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fatbin.h"

#define WRAPPER_MAGIC 0x466243b1u
#define ELF_MAGIC     0x464c457fu

/* Larger than any module there is: a length beyond it comes from garbage. */
#define IMAGE_BYTES_MAX (4ull << 30)
#define PTX_BYTES_MAX	(256ull << 20)

struct wrapper {
	uint32_t magic;
	uint32_t version;
	const void *data;
	const void *linked; /* version 2: const void *[], NULL at the end */
};

/* What may be read from: 'limit' bytes, SIZE_MAX if nobody knows. */
struct view {
	const uint8_t *data;
	size_t limit;
};

static bool view_read(const struct view *view, uint64_t offset, void *ret_value, size_t bytes)
{
	if (offset > view->limit || bytes > view->limit - offset)
		return false;
	memcpy(ret_value, view->data + offset, bytes);
	return true;
}

/* A text may be shorter than a magic number, so no byte is read behind one that differs. */
static bool view_begins(const struct view *view, uint32_t magic)
{
	for (size_t i = 0; i < sizeof(magic); i++) {
		if (i >= view->limit || view->data[i] != (uint8_t)(magic >> (8 * i)))
			return false;
	}
	return true;
}

static CUresult fatbin_bytes(const struct view *view, size_t *ret_bytes)
{
	struct fatbin_header header;

	if (!view_read(view, 0, &header, sizeof(header)) || header.magic != FATBIN_MAGIC || header.version != 1 ||
	    header.header_bytes < sizeof(header) || header.entries_bytes > IMAGE_BYTES_MAX ||
	    header.header_bytes + header.entries_bytes > view->limit)
		return CUDA_ERROR_INVALID_IMAGE;
	*ret_bytes = (size_t)(header.header_bytes + header.entries_bytes);
	return CUDA_SUCCESS;
}

/* Moves *end up to offset + bytes; false: not a place in any image. */
static bool end_extend(uint64_t *end, uint64_t offset, uint64_t bytes)
{
	if (offset > IMAGE_BYTES_MAX || bytes > IMAGE_BYTES_MAX)
		return false;
	if (offset + bytes > *end)
		*end = offset + bytes;
	return true;
}

static bool segments_measure(const struct view *view, const Elf64_Ehdr *header, uint64_t *end)
{
	for (uint32_t i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;

		if (!view_read(view, header->e_phoff + (uint64_t)i * sizeof(segment), &segment, sizeof(segment)) ||
		    !end_extend(end, segment.p_offset, segment.p_filesz))
			return false;
	}
	return true;
}

/* The number of sections, which is in the first one where it does not fit the header (ELF specification). */
static bool section_count_of(const struct view *view, const Elf64_Ehdr *header, uint64_t *ret_count)
{
	Elf64_Shdr first;

	*ret_count = header->e_shnum;
	if (header->e_shoff == 0 || header->e_shnum)
		return true;
	if (!view_read(view, header->e_shoff, &first, sizeof(first)) || first.sh_size > IMAGE_BYTES_MAX / sizeof(first))
		return false;
	*ret_count = first.sh_size;
	return true;
}

static bool sections_measure(const struct view *view, const Elf64_Ehdr *header, uint64_t count, uint64_t *end)
{
	for (uint64_t i = 0; i < count; i++) {
		Elf64_Shdr section;

		if (!view_read(view, header->e_shoff + i * sizeof(section), &section, sizeof(section)))
			return false;
		if (section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL &&
		    !end_extend(end, section.sh_offset, section.sh_size))
			return false;
	}
	return true;
}

static CUresult elf_bytes(const struct view *view, size_t *ret_bytes)
{
	Elf64_Ehdr header;
	uint64_t end = sizeof(header);
	uint64_t section_count;

	if (!view_read(view, 0, &header, sizeof(header)) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    (header.e_phnum && header.e_phentsize != sizeof(Elf64_Phdr)) ||
	    (header.e_shoff && header.e_shentsize != sizeof(Elf64_Shdr)))
		return CUDA_ERROR_INVALID_IMAGE;
	if (!section_count_of(view, &header, &section_count) ||
	    !end_extend(&end, header.e_phoff, (uint64_t)header.e_phnum * sizeof(Elf64_Phdr)) ||
	    !end_extend(&end, header.e_shoff, section_count * sizeof(Elf64_Shdr)) ||
	    !segments_measure(view, &header, &end) || !sections_measure(view, &header, section_count, &end) ||
	    end > view->limit)
		return CUDA_ERROR_INVALID_IMAGE;
	*ret_bytes = (size_t)end;
	return CUDA_SUCCESS;
}

static bool is_text(uint8_t byte)
{
	return byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f' || byte == '\v' ||
	       (byte >= 0x20 && byte != 0x7f);
}

/* PTX ends with a NUL, or where the memory ends. Stops at the first byte that no text has. */
static CUresult ptx_bytes(const struct view *view, size_t *ret_bytes)
{
	size_t max = view->limit < PTX_BYTES_MAX ? view->limit : PTX_BYTES_MAX;
	size_t bytes = 0;

	while (bytes < max && view->data[bytes]) {
		if (!is_text(view->data[bytes]))
			return CUDA_ERROR_INVALID_IMAGE;
		bytes++;
	}
	if (bytes == 0 || bytes == PTX_BYTES_MAX)
		return CUDA_ERROR_INVALID_IMAGE;
	*ret_bytes = bytes;
	return CUDA_SUCCESS;
}

static CUresult plain_examine(const struct view *view, struct image *ret_image)
{
	struct image image = {.piece_count = 1, .single.data = view->data};
	CUresult result;

	if (view_begins(view, FATBIN_MAGIC)) {
		image.kind = IMAGE_FATBIN;
		result = fatbin_bytes(view, &image.single.bytes);
	} else if (view_begins(view, ELF_MAGIC)) {
		image.kind = IMAGE_ELF;
		result = elf_bytes(view, &image.single.bytes);
	} else {
		image.kind = IMAGE_PTX;
		result = ptx_bytes(view, &image.single.bytes);
	}
	if (!result)
		*ret_image = image;
	return result;
}

/* The fatbins that nvcc -rdc put beside the one that it linked. */
static CUresult linked_add(struct image *image, const void *const *linked)
{
	size_t count = 0;

	while (linked[count]) {
		if (++count == IMAGE_PIECES_MAX)
			return CUDA_ERROR_INVALID_IMAGE;
	}
	if (count == 0)
		return CUDA_SUCCESS;
	image->pieces = calloc(count + 1, sizeof(*image->pieces));
	if (!image->pieces)
		return CUDA_ERROR_OUT_OF_MEMORY;
	image->kind = IMAGE_LINKED;
	image->piece_count = count + 1;
	image->pieces[0] = image->single;
	for (size_t i = 0; i < count; i++) {
		struct view view = {.data = linked[i], .limit = SIZE_MAX};
		CUresult result = fatbin_bytes(&view, &image->pieces[i + 1].bytes);

		if (result) {
			image_release(image);
			return result;
		}
		image->pieces[i + 1].data = view.data;
	}
	return CUDA_SUCCESS;
}

CUresult image_examine(const void *data, struct image *ret_image)
{
	struct view view = {.data = data, .limit = SIZE_MAX};
	struct wrapper wrapper;
	struct image image;
	CUresult result;

	if (!data)
		return CUDA_ERROR_INVALID_VALUE;
	if (!view_begins(&view, WRAPPER_MAGIC))
		return plain_examine(&view, ret_image);
	memcpy(&wrapper, data, sizeof(wrapper));
	if ((wrapper.version != 1 && wrapper.version != 2) || !wrapper.data)
		return CUDA_ERROR_INVALID_IMAGE;
	view.data = wrapper.data;
	result = plain_examine(&view, &image);
	if (!result && wrapper.version == 2 && wrapper.linked && image.kind == IMAGE_FATBIN)
		result = linked_add(&image, wrapper.linked);
	if (!result)
		*ret_image = image;
	return result;
}

CUresult image_examine_sized(const void *data, size_t bytes, struct image *ret_image)
{
	struct view view = {.data = data, .limit = bytes};

	return bytes ? plain_examine(&view, ret_image) : CUDA_ERROR_INVALID_IMAGE;
}

void image_release(struct image *image)
{
	free(image->pieces);
	image->pieces = NULL;
	free(image->single.selection);
	image->single.selection = NULL;
}
