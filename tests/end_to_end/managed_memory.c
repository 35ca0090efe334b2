/* SPDX-License-Identifier: Apache-2.0 */
/* Managed memory as a program sees it: with any libcuda.so.1. Run by test_memory.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "increment.h"

#define WORDS (1u << 16)
#define BYTES (WORDS * 4u)

#define PINNED_PIECES 10
#define PINNED_BYTES  (8u << 20)

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static int setup(void **state)
{
	(void)state;
	return increment_load();
}

static uint32_t *allocate(void)
{
	CUdeviceptr address;

	WORKS(cuMemAllocManaged(&address, BYTES, CU_MEM_ATTACH_GLOBAL));
	return (uint32_t *)(uintptr_t)address;
}

static void kernel_run(const uint32_t *words)
{
	CUdeviceptr to = (uintptr_t)words;
	void *parameters[] = {&to};

	WORKS(cuLaunchKernel(increment, WORDS / 256, 1, 1, 256, 1, 1, 0, NULL, parameters, NULL));
	WORKS(cuCtxSynchronize());
}

static void test_both_sides(void **state)
{
	uint32_t *words = allocate();

	(void)state;
	for (uint32_t turn = 0; turn < 3; turn++) {
		for (uint32_t i = 0; i < WORDS; i++)
			words[i] = i * 3 + turn;
		kernel_run(words);
		for (uint32_t i = 0; i < WORDS; i++)
			assert_int_equal(words[i], i * 3 + turn + 1);
	}
	WORKS(cuMemFree_v2((uintptr_t)words));
}

/* To and from the device's and the program's memory, by each kind of call. */
static void test_copies(void **state)
{
	uint32_t *words = allocate();
	uint32_t *plain = malloc(BYTES);
	CUdeviceptr managed = (uintptr_t)words, device;

	(void)state;
	assert_non_null(plain);
	WORKS(cuMemAlloc_v2(&device, BYTES));
	/* Done when they return, as the program can look at once. */
	WORKS(cuMemsetD32_v2(managed, 5, WORDS));
	assert_int_equal(words[WORDS - 1], 5);
	WORKS(cuMemcpy(device, managed, BYTES));
	WORKS(cuMemcpyDtoH_v2(plain, device, BYTES));
	assert_int_equal(plain[0], 5);
	assert_int_equal(plain[WORDS - 1], 5);
	for (uint32_t i = 0; i < WORDS; i++)
		plain[i] = i;
	WORKS(cuMemcpyHtoD_v2(managed, plain, BYTES));
	assert_memory_equal(words, plain, BYTES);
	for (uint32_t i = 0; i < WORDS; i++)
		words[i] = i ^ 0x5a5a;
	WORKS(cuMemcpyDtoH_v2(plain, managed, BYTES));
	assert_memory_equal(words, plain, BYTES);
	WORKS(cuMemcpyHtoD_v2(device, words, BYTES));
	memset(words, 0, BYTES);
	WORKS(cuMemcpyDtoH_v2(words, device, BYTES));
	assert_memory_equal(words, plain, BYTES);
	WORKS(cuMemFree_v2(device));
	WORKS(cuMemFree_v2(managed));
	assert_int_equal(cuMemFree_v2(managed), CUDA_ERROR_INVALID_VALUE);
	free(plain);
}

/* Of the pieces, as many as the device can read. */
static int pinned_allocate(void **pieces)
{
	CUdeviceptr device, seen;
	int count = 0;

	WORKS(cuMemAlloc_v2(&device, PINNED_BYTES));
	for (int i = 0; i < PINNED_PIECES; i++) {
		char *piece;

		WORKS(cuMemHostAlloc(&pieces[i], PINNED_BYTES, CU_MEMHOSTALLOC_DEVICEMAP));
		piece = pieces[i];
		memset(piece, i + 1, PINNED_BYTES);
		WORKS(cuMemcpyHtoD_v2(device, piece, PINNED_BYTES));
		memset(piece, 0, PINNED_BYTES);
		WORKS(cuMemcpyDtoH_v2(piece, device, PINNED_BYTES));
		assert_int_equal(piece[0], i + 1);
		assert_int_equal(piece[PINNED_BYTES - 1], i + 1);
		count += cuMemHostGetDevicePointer_v2(&seen, piece, 0) == CUDA_SUCCESS;
	}
	WORKS(cuMemFree_v2(device));
	return count;
}

/* More than a virtual machine shares with the device: what it does not share can be copied all the same. */
static void test_much_pinned(void **state)
{
	void *pieces[PINNED_PIECES];
	int count, maps = 0;

	(void)state;
	WORKS(cuDeviceGetAttribute(&maps, CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 0));
	count = pinned_allocate(pieces);
	assert_int_equal(count > 0, maps);
	for (int i = 0; i < PINNED_PIECES; i++)
		WORKS(cuMemFreeHost(pieces[i]));
	/* What was shared can be shared again. */
	assert_int_equal(pinned_allocate(pieces), count);
	for (int i = 0; i < PINNED_PIECES; i++)
		WORKS(cuMemFreeHost(pieces[i]));
}

static void test_pointer(void **state)
{
	CUdeviceptr managed = (uintptr_t)allocate();
	CUdeviceptr device = 0;
	void *host = NULL;
	unsigned int type = 0, is_managed = 0;
	int value = 0;

	(void)state;
	WORKS(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 0));
	assert_int_equal(value, 1);
	WORKS(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, managed + 8));
	assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
	WORKS(cuPointerGetAttribute(&is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, managed + 8));
	assert_int_equal(is_managed, 1);
	WORKS(cuPointerGetAttribute(&device, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, managed + 8));
	assert_int_equal(device, managed + 8);
	WORKS(cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, managed + 8));
	assert_int_equal((uintptr_t)host, managed + 8);
	WORKS(cuMemFree_v2(managed));
}

static int32_t attribute_of(CUdeviceptr address, CUmem_range_attribute attribute)
{
	int32_t value = 99;

	WORKS(cuMemRangeGetAttribute(&value, sizeof(value), attribute, address, BYTES));
	return value;
}

static void test_advice(void **state)
{
	CUdeviceptr managed = (uintptr_t)allocate();
	CUdeviceptr device;
	int32_t value;

	(void)state;
	assert_int_equal(attribute_of(managed, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY), 0);
	assert_int_equal(attribute_of(managed, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION), CU_DEVICE_INVALID);
	WORKS(cuMemAdvise(managed, BYTES, CU_MEM_ADVISE_SET_READ_MOSTLY, 0));
	assert_int_equal(attribute_of(managed, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY), 1);
	WORKS(cuMemAdvise(managed, BYTES, CU_MEM_ADVISE_UNSET_READ_MOSTLY, 0));
	assert_int_equal(attribute_of(managed, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY), 0);
	WORKS(cuMemAdvise(managed, BYTES, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, CU_DEVICE_CPU));
	assert_int_equal(attribute_of(managed, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION), CU_DEVICE_CPU);
	WORKS(cuMemAdvise(managed, BYTES, CU_MEM_ADVISE_SET_ACCESSED_BY, 0));
	assert_int_equal(attribute_of(managed, CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY), 0);
	WORKS(cuMemPrefetchAsync(managed, BYTES, 0, NULL));
	WORKS(cuCtxSynchronize());
	assert_int_equal(attribute_of(managed, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION), 0);
	assert_int_equal(cuMemPrefetchAsync(managed, BYTES, 99, NULL), CUDA_ERROR_INVALID_DEVICE);
	assert_int_equal(cuMemAdvise(managed, 0, CU_MEM_ADVISE_SET_READ_MOSTLY, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemRangeGetAttribute(&value, 3, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, managed, BYTES),
			 CUDA_ERROR_INVALID_VALUE);
	WORKS(cuStreamAttachMemAsync(NULL, managed, 0, CU_MEM_ATTACH_GLOBAL));
	/* Memory of the device is not managed. */
	WORKS(cuMemAlloc_v2(&device, BYTES));
	assert_int_equal(cuMemPrefetchAsync(device, BYTES, 0, NULL), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuMemFree_v2(device));
	WORKS(cuMemFree_v2(managed));
}

static void test_refusals(void **state)
{
	CUdeviceptr address;

	(void)state;
	assert_int_equal(cuMemAllocManaged(&address, 0, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemAllocManaged(&address, BYTES, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemAllocManaged(NULL, BYTES, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemAllocManaged(&address, 1ull << 62, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_OUT_OF_MEMORY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_sides), cmocka_unit_test(test_copies), cmocka_unit_test(test_much_pinned),
		cmocka_unit_test(test_pointer),	   cmocka_unit_test(test_advice), cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
