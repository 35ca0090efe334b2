/* SPDX-License-Identifier: Apache-2.0 */
/* Module images whose headers lie. */
#include <ar.h>
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "image_check.h"

#define HEADER_BYTES 16
#define ENTRY_BYTES  64
#define PTX_BYTES    24

/* As nvcc lays them out (see image_check.c); offsets of fields in an entry. */
enum {
	ENTRY_KIND = 0,
	ENTRY_HEADER_BYTES = 4,
	ENTRY_PAYLOAD_BYTES = 8,
	ENTRY_COMPRESSED_BYTES = 16,
	ENTRY_NAME_OFFSET = 32,
	ENTRY_NAME_BYTES = 36,
	ENTRY_UNPACKED_BYTES = 56,
};

struct elf {
	Elf64_Ehdr header;
	Elf64_Shdr sections[3];
	Elf64_Phdr segment;
	char names[16];
	uint8_t code[32];
};

struct fatbin {
	uint8_t header[HEADER_BYTES];
	uint8_t elf_entry[ENTRY_BYTES];
	struct elf elf;
	uint8_t ptx_entry[ENTRY_BYTES];
	char ptx[PTX_BYTES];
};

struct archive {
	char magic[SARMAG];
	struct ar_hdr elf_header;
	struct elf elf;
	struct ar_hdr text_header;
	char text[3]; /* and a byte of padding, which may be missing at the end */
} __attribute__((packed));

static void put16(uint8_t *place, uint16_t value)
{
	memcpy(place, &value, sizeof(value));
}

static void put32(uint8_t *place, uint32_t value)
{
	memcpy(place, &value, sizeof(value));
}

static void put64(uint8_t *place, uint64_t value)
{
	memcpy(place, &value, sizeof(value));
}

static struct elf elf_make(void)
{
	struct elf elf = {
		.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			   .e_shoff = offsetof(struct elf, sections),
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = 3,
			   .e_shstrndx = 1,
			   .e_phoff = offsetof(struct elf, segment),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_phnum = 1},
		.sections = {{.sh_type = SHT_NULL},
			     {.sh_type = SHT_STRTAB, .sh_offset = offsetof(struct elf, names), .sh_size = 16},
			     {.sh_type = SHT_PROGBITS, .sh_offset = offsetof(struct elf, code), .sh_size = 32}},
		.segment = {.p_type = PT_LOAD, .p_offset = offsetof(struct elf, code), .p_filesz = 32},
	};

	return elf;
}

static struct fatbin fatbin_make(void)
{
	struct fatbin fatbin = {.elf = elf_make(), .ptx = ".version 8.0"};

	put32(fatbin.header, 0xba55ed50);
	put16(fatbin.header + 4, 1);
	put16(fatbin.header + 6, HEADER_BYTES);
	put64(fatbin.header + 8, sizeof(fatbin) - HEADER_BYTES);
	put16(fatbin.elf_entry + ENTRY_KIND, 2);
	put32(fatbin.elf_entry + ENTRY_HEADER_BYTES, ENTRY_BYTES);
	put64(fatbin.elf_entry + ENTRY_PAYLOAD_BYTES, sizeof(struct elf));
	put16(fatbin.ptx_entry + ENTRY_KIND, 1);
	put32(fatbin.ptx_entry + ENTRY_HEADER_BYTES, ENTRY_BYTES);
	put64(fatbin.ptx_entry + ENTRY_PAYLOAD_BYTES, PTX_BYTES);
	return fatbin;
}

/* On the heap and of the exact size, so that a sanitizer sees every read beyond. */
static bool check(bool (*is_sound)(const uint8_t *, size_t), const void *image, size_t bytes)
{
	uint8_t *copy = malloc(bytes ? bytes : 1);
	bool sound;

	assert_non_null(copy);
	memcpy(copy, image, bytes);
	sound = is_sound(copy, bytes);
	free(copy);
	return sound;
}

static void sound_images_pass(void **state)
{
	struct fatbin fatbin = fatbin_make();

	(void)state;
	assert_true(check(image_elf_is_sound, &fatbin.elf, sizeof(fatbin.elf)));
	assert_true(check(image_fatbin_is_sound, &fatbin, sizeof(fatbin)));
	/* Shared memory, which takes no room in the file. */
	fatbin.elf.sections[2] = (Elf64_Shdr){.sh_type = SHT_LOPROC + 0xa, .sh_offset = 64, .sh_size = 1 << 16};
	assert_true(check(image_elf_is_sound, &fatbin.elf, sizeof(fatbin.elf)));
	assert_true(check(image_ptx_is_sound, ".version 8.0\n\t// \xc3\xa4\r\n", 20));
}

static void truncated_images_fail(void **state)
{
	struct fatbin fatbin = fatbin_make();

	(void)state;
	for (size_t bytes = 0; bytes < sizeof(fatbin); bytes++)
		assert_false(check(image_fatbin_is_sound, &fatbin, bytes));
	for (size_t bytes = 0; bytes < sizeof(fatbin.elf); bytes++)
		assert_false(check(image_elf_is_sound, &fatbin.elf, bytes));
}

static void lying_fatbins_fail(void **state)
{
	static const struct {
		size_t offset;
		int bytes;
		uint64_t value;
	} lies[] = {
		{offsetof(struct fatbin, header), 4, 0xba55ed51},
		{offsetof(struct fatbin, header) + 6, 2, 8},
		{offsetof(struct fatbin, header) + 6, 2, 0xffff},
		{offsetof(struct fatbin, header) + 8, 8, UINT64_MAX},
		{offsetof(struct fatbin, header) + 8, 8, sizeof(struct fatbin)},
		{offsetof(struct fatbin, elf_entry) + ENTRY_HEADER_BYTES, 4, 8},
		{offsetof(struct fatbin, elf_entry) + ENTRY_HEADER_BYTES, 4, UINT32_MAX},
		{offsetof(struct fatbin, elf_entry) + ENTRY_PAYLOAD_BYTES, 8, UINT64_MAX - 63},
		{offsetof(struct fatbin, elf_entry) + ENTRY_PAYLOAD_BYTES, 8, 1 << 20},
		{offsetof(struct fatbin, elf_entry) + ENTRY_COMPRESSED_BYTES, 4, UINT32_MAX},
		{offsetof(struct fatbin, elf_entry) + ENTRY_NAME_BYTES, 4, UINT32_MAX},
		{offsetof(struct fatbin, elf_entry) + ENTRY_UNPACKED_BYTES, 8, 1ull << 40},
		{offsetof(struct fatbin, ptx_entry) + ENTRY_PAYLOAD_BYTES, 8, PTX_BYTES + 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct fatbin fatbin = fatbin_make();

		memcpy((uint8_t *)&fatbin + lies[i].offset, &lies[i].value, (size_t)lies[i].bytes);
		if (check(image_fatbin_is_sound, &fatbin, sizeof(fatbin)))
			fail_msg("lie %zu passes", i);
	}
}

static void unterminated_text_in_a_fatbin_fails(void **state)
{
	struct fatbin fatbin = fatbin_make();

	(void)state;
	memset(fatbin.ptx, 'x', sizeof(fatbin.ptx));
	assert_false(check(image_fatbin_is_sound, &fatbin, sizeof(fatbin)));
}

static void lying_elves_fail(void **state)
{
	struct elf elf;

	(void)state;
	elf = elf_make();
	elf.header.e_shoff = UINT64_MAX - 8;
	assert_false(check(image_elf_is_sound, &elf, sizeof(elf)));
	elf = elf_make();
	elf.header.e_shnum = 0xffff;
	assert_false(check(image_elf_is_sound, &elf, sizeof(elf)));
	elf = elf_make();
	elf.header.e_shentsize = 1;
	assert_false(check(image_elf_is_sound, &elf, sizeof(elf)));
	elf = elf_make();
	elf.header.e_shstrndx = 3;
	assert_false(check(image_elf_is_sound, &elf, sizeof(elf)));
	elf = elf_make();
	elf.sections[2].sh_offset = UINT64_MAX;
	assert_false(check(image_elf_is_sound, &elf, sizeof(elf)));
	elf = elf_make();
	elf.sections[2].sh_size = UINT64_MAX - 16;
	assert_false(check(image_elf_is_sound, &elf, sizeof(elf)));
	elf = elf_make();
	elf.sections[2].sh_link = 77;
	assert_false(check(image_elf_is_sound, &elf, sizeof(elf)));
	elf = elf_make();
	elf.names[15] = 'x';
	assert_false(check(image_elf_is_sound, &elf, sizeof(elf)));
	elf = elf_make();
	elf.header.e_phoff = sizeof(elf) - 8;
	assert_false(check(image_elf_is_sound, &elf, sizeof(elf)));
	elf = elf_make();
	elf.segment.p_filesz = 1ull << 40;
	assert_false(check(image_elf_is_sound, &elf, sizeof(elf)));
	elf = elf_make();
	elf.header.e_ident[EI_CLASS] = ELFCLASS32;
	assert_false(check(image_elf_is_sound, &elf, sizeof(elf)));
}

static struct ar_hdr member_make(const char *size)
{
	struct ar_hdr header;

	memset(&header, ' ', sizeof(header));
	memcpy(header.ar_size, size, strlen(size));
	memcpy(header.ar_fmag, ARFMAG, sizeof(header.ar_fmag));
	return header;
}

static struct archive archive_make(void)
{
	char size[16];
	struct archive archive = {.elf = elf_make(), .text_header = member_make("3"), .text = "abc"};

	snprintf(size, sizeof(size), "%zu", sizeof(struct elf));
	archive.elf_header = member_make(size);
	memcpy(archive.magic, ARMAG, SARMAG);
	return archive;
}

static void lying_archives_fail(void **state)
{
	struct archive archive = archive_make();
	size_t whole = offsetof(struct archive, text) + 3;

	(void)state;
	assert_true(check(image_archive_is_sound, &archive, whole));
	assert_false(check(image_archive_is_sound, &archive, whole - 1));
	assert_false(check(image_archive_is_sound, &archive, SARMAG + 10));
	assert_false(check(image_archive_is_sound, &archive, 4));
	archive.text_header.ar_size[0] = '4';
	assert_false(check(image_archive_is_sound, &archive, whole));
	memset(archive.text_header.ar_size, '9', sizeof(archive.text_header.ar_size));
	assert_false(check(image_archive_is_sound, &archive, whole));
	archive = archive_make();
	archive.text_header.ar_size[1] = 'x';
	assert_false(check(image_archive_is_sound, &archive, whole));
	archive = archive_make();
	archive.elf_header.ar_fmag[0] = 'x';
	assert_false(check(image_archive_is_sound, &archive, whole));
	archive = archive_make();
	archive.elf.sections[1].sh_size = 1 << 20;
	assert_false(check(image_archive_is_sound, &archive, whole));
}

static void binary_is_no_text(void **state)
{
	(void)state;
	assert_false(check(image_ptx_is_sound, "", 0));
	assert_false(check(image_ptx_is_sound, ".version\0.target", 16));
	assert_false(check(image_ptx_is_sound, "\x01\x02", 2));
}

/* Every byte of a sound image, with every bit turned: the check may pass or fail, but reads nothing beyond. */
static void turned_bits_are_survived(void **state)
{
	struct fatbin fatbin = fatbin_make();
	uint8_t *bytes = (uint8_t *)&fatbin;
	size_t passed = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(fatbin) * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		passed += check(image_fatbin_is_sound, &fatbin, sizeof(fatbin));
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_true(passed > 0 && passed < sizeof(fatbin) * 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_images_pass),  cmocka_unit_test(truncated_images_fail),
		cmocka_unit_test(lying_fatbins_fail), cmocka_unit_test(unterminated_text_in_a_fatbin_fails),
		cmocka_unit_test(lying_elves_fail),   cmocka_unit_test(lying_archives_fail),
		cmocka_unit_test(binary_is_no_text),  cmocka_unit_test(turned_bits_are_survived),
	};

	return cmocka_run_group_tests_name("images", tests, NULL, NULL);
}
