/* SPDX-License-Identifier: Apache-2.0 */
#include "cubin.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* No file has as much; sums of offsets and sizes stay far from overflow. */
#define FILE_BYTES_MAXIMUM ((uint64_t)1 << 32)

/* A file whose headers have been checked: every section with content is inside of 'bytes'. */
struct file {
	const uint8_t *data;
	uint64_t bytes;
	Elf64_Ehdr header;
};

static Elf64_Shdr section_at(const struct file *file, size_t index)
{
	Elf64_Shdr section;

	memcpy(&section, file->data + file->header.e_shoff + index * sizeof(section), sizeof(section));
	return section;
}

static bool has_content(const Elf64_Shdr *section)
{
	return section->sh_type != SHT_NULL && section->sh_type != SHT_NOBITS;
}

/* The caller guarantees the bytes that headers promise. */
static bool file_open(const void *data, struct file *ret_file)
{
	struct file file = {.data = data, .bytes = sizeof(Elf64_Ehdr)};

	memcpy(&file.header, data, sizeof(file.header));
	if (file.header.e_shentsize != sizeof(Elf64_Shdr) || file.header.e_shoff > FILE_BYTES_MAXIMUM ||
	    file.header.e_shstrndx >= file.header.e_shnum)
		return false;
	for (size_t i = 0; i < file.header.e_shnum; i++) {
		Elf64_Shdr section = section_at(&file, i);

		if (!has_content(&section))
			continue;
		if (section.sh_offset > FILE_BYTES_MAXIMUM || section.sh_size > FILE_BYTES_MAXIMUM ||
		    section.sh_link >= file.header.e_shnum || section.sh_info >= UINT32_MAX)
			return false;
		if (section.sh_type == SHT_STRTAB &&
		    (!section.sh_size || file.data[section.sh_offset + section.sh_size - 1]))
			return false;
	}
	*ret_file = file;
	return section_at(&file, file.header.e_shstrndx).sh_type == SHT_STRTAB;
}

/* "" where the table has no such place. */
static const char *text_at(const struct file *file, size_t table_index, uint32_t offset)
{
	Elf64_Shdr table = section_at(file, table_index);

	if (table.sh_type != SHT_STRTAB || offset >= table.sh_size)
		return "";
	return (const char *)file->data + table.sh_offset + offset;
}

/* 0: there is none. */
static size_t section_find(const struct file *file, const char *name)
{
	for (size_t i = 1; i < file->header.e_shnum; i++) {
		Elf64_Shdr section = section_at(file, i);

		if (has_content(&section) && !strcmp(text_at(file, file->header.e_shstrndx, section.sh_name), name))
			return i;
	}
	return 0;
}

static CUresult texts_read(const struct file *file, struct image *image)
{
	CUresult result = CUDA_SUCCESS;

	for (size_t i = 1; i < file->header.e_shnum && !result; i++) {
		Elf64_Shdr section = section_at(file, i);

		if (section.sh_type == SHT_PROGBITS &&
		    !strcmp(text_at(file, file->header.e_shstrndx, section.sh_name), CUBIN_TEXT_SECTION))
			result = image_add(image, (const char *)file->data + section.sh_offset, section.sh_size);
	}
	return result || image->count ? result : CUDA_ERROR_INVALID_IMAGE;
}

/* Has the word at the offset of that section a relocation? */
static bool is_relocated(const struct file *file, size_t target, uint64_t offset)
{
	for (size_t i = 1; i < file->header.e_shnum; i++) {
		Elf64_Shdr section = section_at(file, i);

		if (section.sh_type != SHT_RELA || section.sh_info != target)
			continue;
		for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= section.sh_size; at += sizeof(Elf64_Rela)) {
			Elf64_Rela entry;

			memcpy(&entry, file->data + section.sh_offset + at, sizeof(entry));
			if (entry.r_offset == offset)
				return true;
		}
	}
	return false;
}

/* The variable of each word of addresses: the symbols that are defined, in their order. */
static CUresult placements_read(const struct file *file, const Elf64_Shdr *symbols, size_t addresses,
				struct image *image)
{
	Elf64_Shdr words = section_at(file, addresses);
	CUresult result = CUDA_SUCCESS;
	uint64_t offset = 0;

	for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= symbols->sh_size && !result; at += sizeof(Elf64_Sym)) {
		uint64_t address;
		Elf64_Sym symbol;

		memcpy(&symbol, file->data + symbols->sh_offset + at, sizeof(symbol));
		if (ELF64_ST_TYPE(symbol.st_info) != STT_OBJECT || symbol.st_shndx == SHN_UNDEF)
			continue;
		if (words.sh_size < sizeof(address) || offset > words.sh_size - sizeof(address))
			return CUDA_ERROR_INVALID_IMAGE;
		memcpy(&address, file->data + words.sh_offset + offset, sizeof(address));
		if (!is_relocated(file, addresses, offset))
			result = image_place(image, text_at(file, symbols->sh_link, symbol.st_name), address);
		offset += sizeof(address);
	}
	return result;
}

CUresult cubin_read(const void *data, struct image *image)
{
	struct file file;
	size_t addresses;
	CUresult result;

	if (!file_open(data, &file))
		return CUDA_ERROR_INVALID_IMAGE;
	result = texts_read(&file, image);
	addresses = section_find(&file, CUBIN_ADDRESS_SECTION);
	for (size_t i = 1; i < file.header.e_shnum && !result && addresses; i++) {
		Elf64_Shdr section = section_at(&file, i);

		if (section.sh_type == SHT_SYMTAB)
			result = placements_read(&file, &section, addresses, image);
	}
	return result;
}
