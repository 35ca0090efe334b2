/* SPDX-License-Identifier: Apache-2.0 */
/* Whether images may print, found by a thread: until it is known they may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#include "fatbin.h"
#include "print_scan.h"

#define TEXT_BYTES  (1u << 20)
#define PATIENCE_MS 20000

/* Images here are made, not staged. */
CUresult stage_take(struct stage *stage, uint8_t **ret_bytes)
{
	(void)stage;
	(void)ret_bytes;
	abort();
}

/* A fatbin of one packed text that hardly packs and ends with 'end'. */
static struct image image_make(const char *end)
{
	struct fatbin_header header = {.magic = FATBIN_MAGIC, .version = 1, .header_bytes = sizeof(header)};
	struct fatbin_entry entry = {.kind = FATBIN_KIND_PTX, .header_bytes = sizeof(entry), .flags = FATBIN_FLAG_ZSTD};
	size_t room = ZSTD_compressBound(TEXT_BYTES);
	char *text = malloc(TEXT_BYTES);
	uint8_t *fatbin = malloc(sizeof(header) + sizeof(entry) + room);
	size_t packed;

	assert_true(text && fatbin);
	srand(1);
	for (size_t i = 0; i < TEXT_BYTES; i++)
		text[i] = (char)('a' + rand() % 26);
	memcpy(text + TEXT_BYTES - strlen(end), end, strlen(end));
	packed = ZSTD_compress(fatbin + sizeof(header) + sizeof(entry), room, text, TEXT_BYTES, 1);
	assert_false(ZSTD_isError(packed));
	entry.payload_bytes = packed;
	entry.compressed_bytes = (uint32_t)packed;
	entry.unpacked_bytes = TEXT_BYTES;
	header.entries_bytes = sizeof(entry) + packed;
	memcpy(fatbin, &header, sizeof(header));
	memcpy(fatbin + sizeof(header), &entry, sizeof(entry));
	free(text);
	return (struct image){.staged = fatbin,
			      .staged_bytes = sizeof(header) + sizeof(entry) + packed,
			      .kind = IMAGE_FATBIN,
			      .pointer = fatbin};
}

static bool scans_end(const struct print *print)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (!__atomic_load_n(&print->scans, __ATOMIC_ACQUIRE))
			return true;
		usleep(1000);
	}
	return false;
}

static void test_scans(void **state)
{
	static struct print print;
	struct image image;

	(void)state;
	for (int i = 0; i < 20; i++) {
		image = image_make("nothing of the kind");
		print_scan(&print, &image);
		assert_null(image.staged);
	}
	assert_true(scans_end(&print));
	assert_false(print_is_possible(&print));
	image = image_make("vprintf");
	print_scan(&print, &image);
	assert_true(print_is_possible(&print));
	assert_true(scans_end(&print));
	assert_true(print_is_possible(&print));
	/* Nothing is looked at any more. */
	image = image_make("nothing of the kind");
	print_scan(&print, &image);
	assert_int_equal(print.scans, 0);
	assert_true(print_is_possible(&print));
}

static void test_small(void **state)
{
	static const char *const texts[] = {".visible .entry f() { ret; }", ".extern .func vprintf;"};
	static struct print print;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		uint8_t *text = (uint8_t *)strdup(texts[i]);
		struct image image = {.staged = text,
				      .staged_bytes = strlen(texts[i]),
				      .kind = IMAGE_PTX,
				      .pointer = text,
				      .pointer_bytes = strlen(texts[i])};

		print_scan(&print, &image);
		assert_int_equal(print.scans, 0);
		assert_int_equal(print_is_possible(&print), i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_scans), cmocka_unit_test(test_small)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
