/* SPDX-License-Identifier: Apache-2.0 */
#include "image_check.h"

#include <ar.h>
#include <elf.h>
#include <string.h>

#include "fatbin.h"

/* More than any compiler makes of one kernel file; a driver that unpacks more than that is being attacked. */
#define UNPACKED_BYTES_MAX (1ull << 30)

/* Of a kernel's shared memory, in an object file: it has no bytes (as CUDA 13's tools write it). */
#define SECTION_SHARED (SHT_LOPROC + 0xau)

#define ENTRY_COMPRESSED (FATBIN_FLAG_LZ4 | FATBIN_FLAG_ZSTD)

static bool span_is_within(uint64_t offset, uint64_t bytes, uint64_t total)
{
	return offset <= total && bytes <= total - offset;
}

bool image_ptx_is_sound(const uint8_t *text, size_t bytes)
{
	if (bytes == 0)
		return false;
	/* Comments may hold UTF-8; control characters have no place in text. */
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] < ' ' && text[i] != '\n' && text[i] != '\t' && text[i] != '\r' && text[i] != '\f' &&
		    text[i] != '\v')
			return false;
	}
	return true;
}

static bool entry_is_sound(const struct fatbin_entry *entry, const uint8_t *payload)
{
	if (entry->compressed_bytes > entry->payload_bytes || entry->unpacked_bytes > UNPACKED_BYTES_MAX)
		return false;
	if (entry->name_bytes &&
	    !span_is_within(entry->name_offset, entry->name_bytes, entry->header_bytes + entry->payload_bytes))
		return false;
	if (entry->kind == FATBIN_KIND_ELF && !(entry->flags & ENTRY_COMPRESSED) &&
	    !image_elf_is_sound(payload, entry->payload_bytes))
		return false;
	/* PTX text has to end within its payload. */
	return entry->kind != FATBIN_KIND_PTX || entry->flags & ENTRY_COMPRESSED ||
	       memchr(payload, '\0', entry->payload_bytes);
}

bool image_fatbin_is_sound(const uint8_t *fatbin, size_t bytes)
{
	struct fatbin_entries entries;
	struct fatbin_entry entry;
	const uint8_t *payload;
	int found;

	if (!fatbin_entries_begin(&entries, fatbin, bytes))
		return false;
	while ((found = fatbin_entries_next(&entries, &entry, &payload)) > 0) {
		if (!entry_is_sound(&entry, payload))
			return false;
	}
	return found == 0;
}

static bool elf_sections_are_sound(const uint8_t *elf, size_t bytes, const Elf64_Ehdr *header)
{
	if (header->e_shnum == 0)
		return true;
	if (header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shstrndx >= header->e_shnum ||
	    !span_is_within(header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr), bytes))
		return false;
	for (size_t i = 0; i < header->e_shnum; i++) {
		Elf64_Shdr section;

		memcpy(&section, elf + header->e_shoff + i * sizeof(section), sizeof(section));
		if (section.sh_type == SHT_NOBITS || section.sh_type == SHT_NULL || section.sh_type == SECTION_SHARED)
			continue;
		if (!span_is_within(section.sh_offset, section.sh_size, bytes) ||
		    (section.sh_type != SHT_STRTAB && section.sh_link >= header->e_shnum))
			return false;
		/* Names are read up to a NUL. */
		if (section.sh_type == SHT_STRTAB && section.sh_size > 0 &&
		    elf[section.sh_offset + section.sh_size - 1] != 0)
			return false;
	}
	return true;
}

static bool elf_segments_are_sound(const uint8_t *elf, size_t bytes, const Elf64_Ehdr *header)
{
	if (header->e_phnum == 0)
		return true;
	if (header->e_phentsize != sizeof(Elf64_Phdr) ||
	    !span_is_within(header->e_phoff, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr), bytes))
		return false;
	for (size_t i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;

		memcpy(&segment, elf + header->e_phoff + i * sizeof(segment), sizeof(segment));
		if (!span_is_within(segment.p_offset, segment.p_filesz, bytes))
			return false;
	}
	return true;
}

bool image_elf_is_sound(const uint8_t *elf, size_t bytes)
{
	Elf64_Ehdr header;

	if (bytes < sizeof(header))
		return false;
	memcpy(&header, elf, sizeof(header));
	return memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
	       header.e_ident[EI_DATA] == ELFDATA2LSB && elf_sections_are_sound(elf, bytes, &header) &&
	       elf_segments_are_sound(elf, bytes, &header);
}

/* Decimal digits, then spaces. */
static bool number_read(const char *text, size_t length, uint64_t *ret_number)
{
	uint64_t number = 0;
	size_t i = 0;

	while (i < length && text[i] >= '0' && text[i] <= '9')
		number = number * 10 + (uint64_t)(text[i++] - '0');
	if (i == 0)
		return false;
	for (; i < length; i++) {
		if (text[i] != ' ')
			return false;
	}
	*ret_number = number;
	return true;
}

bool image_archive_is_sound(const uint8_t *archive, size_t bytes)
{
	size_t offset = SARMAG;

	if (bytes < SARMAG || memcmp(archive, ARMAG, SARMAG) != 0)
		return false;
	while (offset < bytes) {
		struct ar_hdr header;
		uint64_t member;

		if (bytes - offset < sizeof(header))
			return false;
		memcpy(&header, archive + offset, sizeof(header));
		offset += sizeof(header);
		if (memcmp(header.ar_fmag, ARFMAG, sizeof(header.ar_fmag)) != 0 ||
		    !number_read(header.ar_size, sizeof(header.ar_size), &member) || member > bytes - offset)
			return false;
		if (member >= SELFMAG && memcmp(archive + offset, ELFMAG, SELFMAG) == 0 &&
		    !image_elf_is_sound(archive + offset, member))
			return false;
		/* Members begin at even places. */
		offset += member;
		if (offset < bytes)
			offset += offset % 2;
	}
	return true;
}
