/* SPDX-License-Identifier: Apache-2.0 */
/* The length of an image: found, or refused, without reading a byte that no header vouches for. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "fatbin.h"
#include "image.h"
#include "image_select.h"

#define PAGE 4096u

/* Memory that ends where a page begins that cannot be read. */
static uint8_t *guarded(const void *bytes, size_t count)
{
	size_t pages = (count + PAGE - 1) / PAGE * PAGE;
	uint8_t *space = mmap(NULL, pages + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(space != MAP_FAILED);
	assert_int_equal(mprotect(space + pages, PAGE, PROT_NONE), 0);
	memcpy(space + pages - count, bytes, count);
	return space + pages - count;
}

struct fatbin {
	uint32_t magic;
	uint16_t version;
	uint16_t header_bytes;
	uint64_t payload_bytes;
	uint8_t payload[40];
};

static const struct fatbin good_fatbin = {
	.magic = 0xba55ed50,
	.version = 1,
	.header_bytes = 16,
	.payload_bytes = 40,
};

struct wrapper {
	uint32_t magic;
	uint32_t version;
	const void *data;
	const void *linked;
};

/* Header, one section's bytes, section headers, and the program header last, as in a cubin. */
struct elf {
	Elf64_Ehdr header;
	uint8_t text[24];
	Elf64_Shdr sections[3];
	Elf64_Phdr segment;
};

static struct elf good_elf(void)
{
	struct elf elf = {
		.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			   .e_phoff = offsetof(struct elf, segment),
			   .e_shoff = offsetof(struct elf, sections),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_phnum = 1,
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = 3},
		.sections = {{.sh_type = SHT_NULL},
			     {.sh_type = SHT_PROGBITS, .sh_offset = offsetof(struct elf, text), .sh_size = 24},
			     {.sh_type = SHT_NOBITS, .sh_offset = 1 << 20, .sh_size = 1 << 20}},
		.segment = {.p_type = PT_LOAD, .p_offset = offsetof(struct elf, text), .p_filesz = 24},
	};

	return elf;
}

static size_t length_of(const void *data, enum image_kind kind)
{
	struct image image;
	size_t bytes;

	assert_int_equal(image_examine(data, &image), CUDA_SUCCESS);
	assert_int_equal(image.kind, kind);
	assert_int_equal(image.piece_count, 1);
	bytes = image.single.bytes;
	image_release(&image);
	return bytes;
}

static void test_lengths(void **state)
{
	static const char ptx[] = ".version 8.0\n.target sm_90\n";
	struct elf elf = good_elf();
	struct wrapper wrapper = {.magic = 0x466243b1, .version = 1};

	(void)state;
	assert_int_equal(length_of(guarded(&good_fatbin, sizeof(good_fatbin)), IMAGE_FATBIN), 56);
	assert_int_equal(length_of(guarded(&elf, sizeof(elf)), IMAGE_ELF), sizeof(elf));
	assert_int_equal(length_of(guarded(ptx, sizeof(ptx)), IMAGE_PTX), sizeof(ptx) - 1);
	assert_int_equal(length_of(guarded("x", 2), IMAGE_PTX), 1);
	wrapper.data = guarded(&good_fatbin, sizeof(good_fatbin));
	assert_int_equal(length_of(guarded(&wrapper, sizeof(wrapper)), IMAGE_FATBIN), 56);
	wrapper.data = guarded(ptx, sizeof(ptx));
	assert_int_equal(length_of(&wrapper, IMAGE_PTX), sizeof(ptx) - 1);
}

static void test_linked(void **state)
{
	const void *linked[] = {&good_fatbin, &good_fatbin, NULL};
	struct fatbin bad = good_fatbin;
	struct wrapper wrapper = {.magic = 0x466243b1, .version = 2, .data = &good_fatbin, .linked = linked};
	struct image image;

	(void)state;
	assert_int_equal(image_examine(&wrapper, &image), CUDA_SUCCESS);
	assert_int_equal(image.kind, IMAGE_LINKED);
	assert_int_equal(image.piece_count, 3);
	assert_int_equal(image.pieces[2].bytes, 56);
	image_release(&image);
	bad.magic = 0;
	linked[1] = &bad;
	assert_int_equal(image_examine(&wrapper, &image), CUDA_ERROR_INVALID_IMAGE);
	linked[0] = NULL;
	assert_int_equal(image_examine(&wrapper, &image), CUDA_SUCCESS);
	assert_int_equal(image.kind, IMAGE_FATBIN);
}

static void refused(const void *data, size_t bytes)
{
	struct image image;

	assert_int_equal(image_examine(guarded(data, bytes), &image), CUDA_ERROR_INVALID_IMAGE);
}

static void test_refused(void **state)
{
	struct fatbin fatbin = good_fatbin;
	struct wrapper wrapper = {.magic = 0x466243b1, .version = 3, .data = &good_fatbin};
	struct elf elf = good_elf();
	struct image image;

	(void)state;
	assert_int_equal(image_examine(NULL, &image), CUDA_ERROR_INVALID_VALUE);
	refused("", 1);
	refused("\x01", 1);
	refused("text\x02", 5);
	refused(&wrapper, sizeof(wrapper));
	wrapper = (struct wrapper){.magic = 0x466243b1, .version = 1};
	refused(&wrapper, sizeof(wrapper));
	fatbin.version = 2;
	refused(&fatbin, sizeof(fatbin));
	fatbin = good_fatbin;
	fatbin.payload_bytes = UINT64_MAX - 8;
	refused(&fatbin, sizeof(fatbin));
	fatbin = good_fatbin;
	fatbin.header_bytes = 8;
	refused(&fatbin, sizeof(fatbin));
	elf.header.e_ident[EI_CLASS] = ELFCLASS32;
	refused(&elf, sizeof(elf));
	elf = good_elf();
	elf.header.e_shentsize = 1;
	refused(&elf, sizeof(elf));
	elf = good_elf();
	elf.header.e_shoff = UINT64_MAX - 4;
	refused(&elf, sizeof(elf));
	elf = good_elf();
	elf.segment.p_filesz = UINT64_MAX;
	refused(&elf, sizeof(elf));
	/* Sections counted in the first of them. */
	elf = good_elf();
	elf.header.e_shnum = 0;
	elf.sections[0].sh_size = UINT64_MAX / 8;
	refused(&elf, sizeof(elf));
	elf.sections[0].sh_size = 3;
	assert_int_equal(length_of(guarded(&elf, sizeof(elf)), IMAGE_ELF), sizeof(elf));
}

/* Of memory whose size is known, every truncation is refused, and none is read past its end. */
static void test_truncated(void **state)
{
	struct elf elf = good_elf();
	struct image image;

	(void)state;
	for (size_t bytes = 0; bytes < sizeof(elf); bytes++) {
		uint8_t *data = guarded(&elf, bytes);

		assert_int_equal(image_examine_sized(data, bytes, &image), CUDA_ERROR_INVALID_IMAGE);
	}
	/* Before the magic number is whole it might be text. */
	for (size_t bytes = 4; bytes < 56; bytes++)
		assert_int_equal(image_examine_sized(guarded(&good_fatbin, bytes), bytes, &image),
				 CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(image_examine_sized(guarded(&elf, sizeof(elf)), sizeof(elf), &image), CUDA_SUCCESS);
	/* A file's text has no NUL. */
	assert_int_equal(image_examine_sized(guarded("text", 4), 4, &image), CUDA_SUCCESS);
	assert_int_equal(image.single.bytes, 4);
}

static void test_mutated(void **state)
{
	struct elf good = good_elf();
	uint8_t *data = guarded(&good, sizeof(good));

	(void)state;
	srand(7);
	for (int i = 0; i < 300000; i++) {
		struct image image;

		memcpy(data, &good, sizeof(good));
		for (int changes = rand() % 4 + 1; changes > 0; changes--)
			data[(size_t)rand() % sizeof(good)] = (uint8_t)rand();
		if (image_examine_sized(data, sizeof(good), &image) == CUDA_SUCCESS)
			assert_true(image.single.bytes <= sizeof(good));
	}
}

/* A fatbin whose entries have 'bytes' of payload each, of these kinds and architectures. */
static uint8_t *fatbin_make(size_t bytes, const uint32_t entries[][2], size_t count, size_t *ret_bytes)
{
	size_t each = sizeof(struct fatbin_entry) + bytes;
	struct fatbin_header header = {
		.magic = FATBIN_MAGIC, .version = 1, .header_bytes = sizeof(header), .entries_bytes = count * each};
	uint8_t *fatbin = calloc(1, sizeof(header) + count * each);

	assert_non_null(fatbin);
	memcpy(fatbin, &header, sizeof(header));
	for (size_t i = 0; i < count; i++) {
		const struct fatbin_entry entry = {.kind = (uint16_t)entries[i][0],
						   .header_bytes = sizeof(entry),
						   .payload_bytes = bytes,
						   .architecture = entries[i][1]};

		memcpy(fatbin + sizeof(header) + i * each, &entry, sizeof(entry));
		memset(fatbin + sizeof(header) + i * each + sizeof(entry), (int)i, bytes);
	}
	*ret_bytes = sizeof(header) + count * each;
	return fatbin;
}

/* What is sent of an image, one after the other. */
static uint8_t *sent_join(const struct image_piece *piece)
{
	uint8_t *joined = malloc(piece->bytes);
	size_t bytes = 0;

	assert_non_null(joined);
	for (size_t i = 0; i < piece->span_count; i++) {
		assert_true(piece->spans[i].bytes <= piece->bytes - bytes);
		memcpy(joined + bytes, piece->spans[i].data, piece->spans[i].bytes);
		bytes += piece->spans[i].bytes;
	}
	assert_int_equal(bytes, piece->bytes);
	return joined;
}

static void test_selected(void **state)
{
	enum { BYTES = 40000 };
	static const uint32_t all[][2] = {{FATBIN_KIND_ELF, 75}, {FATBIN_KIND_ELF, 80},	 {FATBIN_KIND_ELF, 86},
					  {FATBIN_KIND_ELF, 90}, {FATBIN_KIND_ELF, 100}, {FATBIN_KIND_PTX, 120}};
	static const uint32_t kept[][2] = {
		{FATBIN_KIND_ELF, 80}, {FATBIN_KIND_ELF, 86}, {FATBIN_KIND_ELF, 90}, {FATBIN_KIND_PTX, 120}};
	size_t bytes, wanted_bytes;
	uint8_t *fatbin = fatbin_make(BYTES, all, 6, &bytes);
	uint8_t *wanted = fatbin_make(BYTES, kept, 4, &wanted_bytes);
	size_t each = sizeof(struct fatbin_entry) + BYTES;
	struct image image;
	uint8_t *joined;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		memset(wanted + sizeof(struct fatbin_header) + i * each + sizeof(struct fatbin_entry), (int)i + 1,
		       BYTES);
	memset(wanted + sizeof(struct fatbin_header) + 3 * each + sizeof(struct fatbin_entry), 5, BYTES);
	assert_int_equal(image_examine(fatbin, &image), CUDA_SUCCESS);
	assert_int_equal(image_select(&image, 1u << 8 | 1u << 9), CUDA_SUCCESS);
	assert_int_equal(image.single.bytes, wanted_bytes);
	joined = sent_join(&image.single);
	assert_memory_equal(joined, wanted, wanted_bytes);
	free(joined);
	image_release(&image);
	/* Nothing for this device: the host's driver is to say so. */
	((struct fatbin_header *)(void *)fatbin)->entries_bytes -= each;
	assert_int_equal(image_examine(fatbin, &image), CUDA_SUCCESS);
	assert_int_equal(image_select(&image, 1u << 12), CUDA_SUCCESS);
	assert_null(image.single.spans);
	assert_int_equal(image.single.bytes, bytes - each);
	/* No sequence of entries. */
	memset(fatbin + bytes - 2 * each + 4, 0xff, 12);
	assert_int_equal(image_select(&image, 1u << 9), CUDA_SUCCESS);
	assert_null(image.single.spans);
	image_release(&image);
	free(fatbin);
	free(wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),	  cmocka_unit_test(test_linked),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_truncated), cmocka_unit_test(test_mutated), cmocka_unit_test(test_selected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
