/* SPDX-License-Identifier: Apache-2.0 */
/* Machine code that is packed in a fatbin, and lies when it is unpacked. */
#include <elf.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "fatbin.h"
#include "image_packed.h"
#include "one_peer.h"

enum { KIND_FATBIN = 2, PAYLOAD_BYTES_MAX = 4096 };

/* A sound one has all of its section. */
struct code {
	Elf64_Ehdr header;
	Elf64_Shdr sections[2];
	char names[1000];
};

struct fatbin {
	struct fatbin_header header;
	struct fatbin_entry entry;
	uint8_t payload[PAYLOAD_BYTES_MAX];
};

static struct code code_make(void)
{
	return (struct code){
		.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			   .e_shoff = offsetof(struct code, sections),
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = 2,
			   .e_shstrndx = 1},
		.sections = {{.sh_type = SHT_NULL},
			     {.sh_type = SHT_STRTAB,
			      .sh_offset = offsetof(struct code, names),
			      .sh_size = sizeof(((struct code *)NULL)->names)}},
	};
}

static struct fatbin fatbin_make(const struct code *code, uint64_t flag)
{
	struct fatbin fatbin = {
		.header = {.magic = FATBIN_MAGIC, .version = 1, .header_bytes = sizeof(fatbin.header)},
		.entry = {.kind = FATBIN_KIND_ELF,
			  .header_bytes = sizeof(fatbin.entry),
			  .architecture = 90,
			  .flags = flag,
			  .unpacked_bytes = sizeof(*code)},
	};
	size_t packed;

	if (flag == FATBIN_FLAG_LZ4) {
		int got = LZ4_compress_default((const char *)code, (char *)fatbin.payload, (int)sizeof(*code),
					       (int)sizeof(fatbin.payload));

		assert_true(got > 0);
		packed = (size_t)got;
	} else {
		packed = ZSTD_compress(fatbin.payload, sizeof(fatbin.payload), code, sizeof(*code), 1);
		assert_false(ZSTD_isError(packed));
	}
	fatbin.entry.compressed_bytes = (uint32_t)packed;
	fatbin.entry.payload_bytes = (packed + 7) & ~7ull;
	fatbin.header.entries_bytes = sizeof(fatbin.entry) + fatbin.entry.payload_bytes;
	return fatbin;
}

static const uint64_t flags[] = {FATBIN_FLAG_LZ4, FATBIN_FLAG_ZSTD};
#define FAMILY(major) (1ull << (major))

static CUresult check(const struct fatbin *fatbin, uint64_t families)
{
	uint64_t unpacked_bytes = 0;

	return image_packed_check((const uint8_t *)fatbin, families, &unpacked_bytes);
}

static void sound_code_passes(void **state)
{
	const struct code code = code_make();

	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct fatbin fatbin = fatbin_make(&code, flags[i]);

		assert_int_equal(check(&fatbin, FAMILY(9)), CUDA_SUCCESS);
	}
}

static void code_that_lies_fails(void **state)
{
	struct code code = code_make();

	(void)state;
	code.sections[1].sh_offset += 8;
	for (int i = 0; i < 2; i++) {
		struct fatbin fatbin = fatbin_make(&code, flags[i]);

		assert_int_equal(check(&fatbin, FAMILY(9)), CUDA_ERROR_INVALID_IMAGE);
		assert_int_equal(check(&fatbin, FAMILY(8) | FAMILY(9)), CUDA_ERROR_INVALID_IMAGE);
		/* Nobody unpacks it. */
		assert_int_equal(check(&fatbin, FAMILY(8)), CUDA_SUCCESS);
		fatbin.entry.architecture = 0;
		assert_int_equal(check(&fatbin, UINT64_MAX), CUDA_ERROR_INVALID_IMAGE);
	}
}

static void what_does_not_unpack_fails(void **state)
{
	const struct code code = code_make();

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fatbin fatbin = fatbin_make(&code, flags[i]);

		fatbin.entry.unpacked_bytes--;
		assert_int_equal(check(&fatbin, FAMILY(9)), CUDA_ERROR_INVALID_IMAGE);
		/* More than comes out would be read as it was left there. */
		fatbin.entry.unpacked_bytes += 2;
		assert_int_equal(check(&fatbin, FAMILY(9)), CUDA_ERROR_INVALID_IMAGE);
		fatbin = fatbin_make(&code, flags[i]);
		fatbin.entry.compressed_bytes /= 2;
		assert_int_equal(check(&fatbin, FAMILY(9)), CUDA_ERROR_INVALID_IMAGE);
		fatbin.entry.compressed_bytes = 0;
		assert_int_equal(check(&fatbin, FAMILY(9)), CUDA_ERROR_INVALID_IMAGE);
	}
}

/* An image's fatbins count together. */
static void too_much_fails(void **state)
{
	struct code code = code_make();
	struct fatbin fatbin = fatbin_make(&code, FATBIN_FLAG_ZSTD);
	uint64_t unpacked_bytes = IMAGE_UNPACKED_BYTES_MAX - fatbin.entry.unpacked_bytes;

	(void)state;
	assert_int_equal(image_packed_check((const uint8_t *)&fatbin, FAMILY(9), &unpacked_bytes), CUDA_SUCCESS);
	assert_int_equal(unpacked_bytes, IMAGE_UNPACKED_BYTES_MAX);
	assert_int_equal(image_packed_check((const uint8_t *)&fatbin, FAMILY(9), &unpacked_bytes),
			 CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(image_packed_check((const uint8_t *)&fatbin, FAMILY(8), &unpacked_bytes), CUDA_SUCCESS);
}

static uint32_t load(const struct fatbin *fatbin)
{
	const uint64_t bytes = sizeof(fatbin->header) + fatbin->header.entries_bytes;
	struct {
		struct vgpu_stage stage;
		uint64_t piece_bytes;
		struct fatbin fatbin;
	} image = {.stage = {.total_bytes = sizeof(bytes) + bytes, .bytes = (uint32_t)(sizeof(bytes) + bytes)},
		   .piece_bytes = bytes,
		   .fatbin = *fatbin};

	assert_true(
		peer_post(&peer, VGPU_OPCODE_STAGE, 0, context, &image, sizeof(image.stage) + sizeof(bytes) + bytes));
	return CALL(cuModuleLoadDataEx, .module = VGPU_ID(VGPU_KIND_MODULE, 1), .image_kind = KIND_FATBIN);
}

/* An executor gives its driver none. */
static void executors_look(void **state)
{
	struct code code = code_make();
	struct fatbin fatbin = fatbin_make(&code, FATBIN_FLAG_ZSTD);

	(void)state;
	assert_int_equal(load(&fatbin), CUDA_SUCCESS);
	WORKS(cuModuleUnload, .hmod = VGPU_ID(VGPU_KIND_MODULE, 1));
	code.sections[1].sh_offset += 8;
	fatbin = fatbin_make(&code, FATBIN_FLAG_ZSTD);
	assert_int_equal(load(&fatbin), CUDA_ERROR_INVALID_IMAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_code_passes),
		cmocka_unit_test(code_that_lies_fails),
		cmocka_unit_test(what_does_not_unpack_fails),
		cmocka_unit_test(too_much_fails),
		cmocka_unit_test_setup_teardown(executors_look, peer_setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
