/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "registered_heap.h"

/* Memory among other blocks of the heap, which are used meanwhile. */
static void heap_check(size_t bytes)
{
	uint8_t *before = malloc(200);
	uint32_t *block = malloc(bytes);
	uint8_t *behind = malloc(200);
	uint8_t *others[64];
	uint32_t words = (uint32_t)(bytes / 4);

	assert_true(before && block && behind);
	bytes_set(before, 200, 1);
	bytes_set(behind, 200, 2);
	for (uint32_t turn = 0; turn < 3; turn++) {
		for (uint32_t i = 0; i < words; i++)
			block[i] = i + turn;
		WORKS(cuMemHostRegister_v2(block, bytes, CU_MEMHOSTREGISTER_DEVICEMAP));
		for (size_t i = 0; i < 64; i++)
			others[i] = malloc(i * 40);
		free(before);
		before = malloc(200);
		kernel_run(device_pointer(block), words);
		bytes_set(before, 200, 1);
		for (size_t i = 0; i < 64; i++)
			free(others[i]);
		for (uint32_t i = 0; i < words; i++)
			assert_int_equal(block[i], i + turn + 1);
		WORKS(cuMemHostUnregister(block));
		for (uint32_t i = 0; i < words; i++)
			assert_int_equal(block[i], i + turn + 1);
		bytes_expect(before, 200, 1);
		bytes_expect(behind, 200, 2);
	}
	free(before);
	free(block);
	free(behind);
}

/* Small blocks of one page, each registered by itself, and no longer in another order. */
static void small_blocks_check(void)
{
	enum { BLOCKS = 12, SMALL_WORDS = 16 };
	static const uint8_t order[BLOCKS] = {3, 0, 11, 5, 1, 7, 2, 10, 4, 9, 8, 6};
	uint32_t *blocks[BLOCKS];
	CUdeviceptr memory;

	WORKS(cuMemAlloc_v2(&memory, 64));
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(SMALL_WORDS * 4);
		assert_non_null(blocks[i]);
		WORKS(cuMemHostRegister_v2(blocks[i], SMALL_WORDS * 4, CU_MEMHOSTREGISTER_DEVICEMAP));
	}
	for (size_t turn = 0; turn < BLOCKS; turn++) {
		for (size_t i = turn; i < BLOCKS; i++) {
			uint32_t *block = blocks[order[i]];

			block[0] = (uint32_t)(turn * 100 + i);
			WORKS(cuMemcpyHtoDAsync_v2(memory, block, 4, NULL));
			WORKS(cuMemcpyDtoHAsync_v2(&block[1], memory, 4, NULL));
			WORKS(cuCtxSynchronize());
			assert_int_equal(block[1], turn * 100 + i);
		}
		WORKS(cuMemHostUnregister(blocks[order[turn]]));
		free(blocks[order[turn]]);
	}
	WORKS(cuMemFree_v2(memory));
}

/* Two within one page have addresses both. */
static void one_page_check(void)
{
	uint8_t *page = aligned_alloc(PAGE, PAGE);
	uint32_t *first = (uint32_t *)(void *)(page + 64), *second = (uint32_t *)(void *)(page + 2048);

	assert_non_null(page);
	for (size_t turn = 0; turn < 2; turn++) {
		memset(page, 0, PAGE);
		WORKS(cuMemHostRegister_v2(first, 1024, 0));
		WORKS(cuMemHostRegister_v2(second, 1024, 0));
		kernel_run(device_pointer(first), 256);
		kernel_run(device_pointer(second), 256);
		WORKS(cuMemHostUnregister(turn ? first : second));
		kernel_run(device_pointer(turn ? second : first), 256);
		WORKS(cuMemHostUnregister(turn ? second : first));
		assert_int_equal(first[255], turn ? 1 : 2);
		assert_int_equal(second[255], turn ? 2 : 1);
	}
	free(page);
}

void test_heap(void **state)
{
	(void)state;
	/* A sanitizer's heap lies where the executor's does, which is sanitized too. */
	if (getenv("VGPU_SANITIZED"))
		skip();
	heap_check(1024);
	heap_check(8192);
	heap_check(100 << 10);
	small_blocks_check();
	one_page_check();
}
