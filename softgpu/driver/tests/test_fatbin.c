/* SPDX-License-Identifier: Apache-2.0 */
/* The fatbin container: choice of the PTX, compression, and damage at every byte. */
#include "common.h"

#include <lz4.h>
#include <sys/mman.h>
#include <zstd.h>

#include "softgpu/driver/image.h"

#define TEXT_90 ".version 8.0\n.target sm_90\n// the newest that suits"
#define TEXT_52 ".version 8.0\n.target sm_52\n"

enum packing { PLAIN, LZ4, ZSTD };

struct builder {
	unsigned char bytes[4096];
	size_t used;
};

static void put(struct builder *builder, size_t at, uint64_t value, size_t width)
{
	memcpy(builder->bytes + at, &value, width);
}

static void builder_start(struct builder *builder)
{
	memset(builder, 0, sizeof(*builder));
	put(builder, 0, 0xBA55ED50, 4);
	put(builder, 4, 1, 2);
	put(builder, 6, 16, 2);
	builder->used = 16;
}

static void builder_add(struct builder *builder, unsigned kind, unsigned sm, const char *text, enum packing packing)
{
	unsigned char *payload = builder->bytes + builder->used + 64;
	size_t room = sizeof(builder->bytes) - builder->used - 64, bytes = strlen(text) + 1, stored, padded;
	uint64_t flags = 0;

	if (packing == LZ4) {
		stored = (size_t)LZ4_compress_default(text, (char *)payload, (int)bytes, (int)room);
		flags = 0x2000;
	} else if (packing == ZSTD) {
		stored = ZSTD_compress(payload, room, text, bytes, 3);
		assert_false(ZSTD_isError(stored));
		flags = 0x8000;
	} else {
		memcpy(payload, text, bytes);
		stored = bytes;
	}
	padded = (stored + 7) & ~(size_t)7;
	put(builder, builder->used, kind, 2);
	put(builder, builder->used + 2, 0x101, 2);
	put(builder, builder->used + 4, 64, 4);
	put(builder, builder->used + 8, padded, 8);
	put(builder, builder->used + 16, packing == PLAIN ? 0 : stored, 4);
	put(builder, builder->used + 28, sm, 4);
	put(builder, builder->used + 40, flags, 8);
	put(builder, builder->used + 56, packing == PLAIN ? 0 : bytes, 8);
	builder->used += 64 + padded;
	put(builder, 8, builder->used - 16, 8);
}

static void expect_text(struct builder *builder, const char *text)
{
	struct image image = {0};

	assert_ok(fatbin_read(builder->bytes, builder->used, &image));
	assert_int_equal(image.count, 1);
	assert_int_equal(image.texts[0].bytes, strlen(text));
	assert_memory_equal(image.texts[0].text, text, strlen(text));
	image_free(&image);
}

static void newest_suitable_ptx_is_taken(void **state)
{
	struct builder builder;

	(void)state;
	builder_start(&builder);
	builder_add(&builder, 2, 90, "machine code", PLAIN);
	builder_add(&builder, 1, 52, TEXT_52, PLAIN);
	builder_add(&builder, 1, 90, TEXT_90, PLAIN);
	builder_add(&builder, 1, 100, "for a newer GPU", PLAIN);
	expect_text(&builder, TEXT_90);
}

static void compressed_entries_are_read(void **state)
{
	struct builder builder;

	(void)state;
	for (int packing = PLAIN; packing <= ZSTD; packing++) {
		builder_start(&builder);
		builder_add(&builder, 1, 80, TEXT_90, (enum packing)packing);
		expect_text(&builder, TEXT_90);
	}
}

static void machine_code_alone_is_no_help(void **state)
{
	struct image image = {0};
	struct builder builder;

	(void)state;
	builder_start(&builder);
	builder_add(&builder, 2, 90, "machine code", PLAIN);
	assert_result(fatbin_read(builder.bytes, builder.used, &image), CUDA_ERROR_NO_BINARY_FOR_GPU);
	builder_add(&builder, 1, 120, "for a newer GPU", PLAIN);
	assert_result(fatbin_read(builder.bytes, builder.used, &image), CUDA_ERROR_NO_BINARY_FOR_GPU);
	builder_start(&builder);
	assert_result(fatbin_read(builder.bytes, builder.used, &image), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(image.count, 0);
}

static void wrappers_lead_to_fatbins(void **state)
{
	struct builder one, two;
	const void *prelinked[] = {one.bytes, two.bytes, NULL};
	struct {
		uint32_t magic, version;
		const void *fatbin;
		const void *list;
	} wrapper = {0x466243b1, 1, one.bytes, NULL};
	struct image image = {0};

	(void)state;
	builder_start(&one);
	builder_add(&one, 1, 90, TEXT_90, LZ4);
	builder_start(&two);
	builder_add(&two, 1, 52, TEXT_52, PLAIN);
	assert_ok(image_read(&wrapper, &image));
	assert_int_equal(image.count, 1);
	image_free(&image);
	wrapper.version = 2;
	wrapper.list = prelinked;
	assert_ok(image_read(&wrapper, &image));
	assert_int_equal(image.count, 2);
	assert_memory_equal(image.texts[1].text, TEXT_52, strlen(TEXT_52));
	image_free(&image);
	wrapper.version = 3;
	assert_result(image_read(&wrapper, &image), CUDA_ERROR_INVALID_IMAGE);
}

static void linked_image_keeps_every_part(void **state)
{
	struct image image = {0}, again = {0};
	size_t bytes;
	void *data;

	(void)state;
	assert_ok(image_add(&image, TEXT_90, sizeof(TEXT_90)));
	assert_ok(image_add(&image, TEXT_52, sizeof(TEXT_52)));
	assert_ok(fatbin_write(&image, &data, &bytes));
	assert_ok(fatbin_read(data, bytes, &again));
	assert_int_equal(again.count, 2);
	assert_memory_equal(again.texts[0].text, TEXT_90, strlen(TEXT_90));
	assert_memory_equal(again.texts[1].text, TEXT_52, strlen(TEXT_52));
	free(data);
	image_free(&image);
	image_free(&again);
}

/* The image ends where no page follows: a read beyond it would crash. */
static void truncation_is_noticed(void **state)
{
	unsigned char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct image image = {0};
	struct builder builder;

	(void)state;
	assert_true(pages != MAP_FAILED);
	assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
	builder_start(&builder);
	builder_add(&builder, 1, 52, TEXT_52, LZ4);
	builder_add(&builder, 1, 90, TEXT_90, ZSTD);
	for (size_t bytes = 0; bytes < builder.used; bytes++) {
		unsigned char *start = pages + 4096 - bytes;

		memcpy(start, builder.bytes, bytes);
		assert_result(fatbin_read(start, bytes, &image), CUDA_ERROR_INVALID_IMAGE);
		/* A header that was made to agree with what is left. */
		if (bytes >= 16) {
			uint64_t claimed = bytes - 16;

			memcpy(start + 8, &claimed, 8);
			if (!fatbin_read(start, bytes, &image))
				image_free(&image);
		}
	}
	assert_int_equal(image.count, 0);
	munmap(pages, 8192);
}

static void damage_is_survived(void **state)
{
	static const unsigned char values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct builder builder, damaged;
	struct image image = {0};
	size_t refused = 0;

	(void)state;
	builder_start(&builder);
	builder_add(&builder, 1, 90, TEXT_90, LZ4);
	for (size_t at = 0; at < builder.used; at++) {
		for (size_t index = 0; index < sizeof(values); index++) {
			damaged = builder;
			damaged.bytes[at] = values[index];
			if (fatbin_read(damaged.bytes, damaged.used, &image))
				refused++;
			else
				image_free(&image);
		}
	}
	assert_true(refused > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(newest_suitable_ptx_is_taken),
		cmocka_unit_test(compressed_entries_are_read),
		cmocka_unit_test(machine_code_alone_is_no_help),
		cmocka_unit_test(wrappers_lead_to_fatbins),
		cmocka_unit_test(linked_image_keeps_every_part),
		cmocka_unit_test(truncation_is_noticed),
		cmocka_unit_test(damage_is_survived),
	};

	return cmocka_run_group_tests_name("softgpu fatbins", tests, NULL, NULL);
}
