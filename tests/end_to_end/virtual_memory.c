/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual memory management as a program sees it: with any libcuda.so.1. Run by test_memory.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "increment.h"

static size_t granule;

static const CUmemAllocationProp properties = {
	.type = CU_MEM_ALLOCATION_TYPE_PINNED,
	.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
};
static const CUmemAccessDesc all_access = {
	.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
	.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
};

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static int setup(void **state)
{
	(void)state;
	return increment_load() ||
	       cuMemGetAllocationGranularity(&granule, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM);
}

static void kernel_run(CUdeviceptr to, size_t words)
{
	void *parameters[] = {&to};

	WORKS(cuLaunchKernel(increment, (unsigned int)(words / 256), 1, 1, 256, 1, 1, 0, NULL, parameters, NULL));
	WORKS(cuCtxSynchronize());
}

static uint32_t word_read(CUdeviceptr from)
{
	uint32_t word;

	WORKS(cuMemcpyDtoH_v2(&word, from, sizeof(word)));
	return word;
}

static void test_attribute(void **state)
{
	int value = 0;

	(void)state;
	WORKS(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 0));
	assert_int_equal(value, 1);
	assert_int_not_equal(granule, 0);
	assert_int_equal(granule & (granule - 1), 0);
}

/* As an allocator with segments that grow does: one reservation, memory added and taken away at its end. */
static void test_segment_grows(void **state)
{
	CUmemGenericAllocationHandle handles[3];
	const size_t reserved = 16 * granule;
	CUdeviceptr base;

	(void)state;
	WORKS(cuMemAddressReserve(&base, reserved, 0, 0, 0));
	assert_int_equal(base % granule, 0);
	for (size_t i = 0; i < 3; i++) {
		WORKS(cuMemCreate(&handles[i], granule, &properties, 0));
		WORKS(cuMemMap(base + i * granule, granule, 0, handles[i], 0));
		WORKS(cuMemSetAccess(base + i * granule, granule, &all_access, 1));
	}
	WORKS(cuMemsetD32_v2(base, 41, 3 * granule / 4));
	kernel_run(base, 3 * granule / 4);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(word_read(base + i * granule), 42);
		assert_int_equal(word_read(base + (i + 1) * granule - 4), 42);
	}
	/* The handles may go before the mappings. */
	for (size_t i = 0; i < 3; i++)
		WORKS(cuMemRelease(handles[i]));
	assert_int_equal(word_read(base + 2 * granule), 42);
	WORKS(cuMemUnmap(base + 2 * granule, granule));
	assert_int_equal(word_read(base + granule), 42);
	assert_int_not_equal(cuMemAddressFree(base, reserved), CUDA_SUCCESS);
	WORKS(cuMemUnmap(base, 2 * granule));
	WORKS(cuMemAddressFree(base, reserved));
}

/* A copy over the boundary of two mappings, which then change places. */
static void test_copy_across(void **state)
{
	const size_t bytes = 2 * granule;
	uint8_t *sent = malloc(bytes), *received = malloc(bytes);
	CUmemGenericAllocationHandle handles[2];
	CUdeviceptr base;

	(void)state;
	assert_non_null(sent);
	assert_non_null(received);
	for (size_t i = 0; i < bytes; i++)
		sent[i] = (uint8_t)(i * 2654435761u >> 13);
	WORKS(cuMemAddressReserve(&base, bytes, granule, 0, 0));
	for (size_t i = 0; i < 2; i++) {
		WORKS(cuMemCreate(&handles[i], granule, &properties, 0));
		WORKS(cuMemMap(base + i * granule, granule, 0, handles[i], 0));
	}
	WORKS(cuMemSetAccess(base, bytes, &all_access, 1));
	WORKS(cuMemcpyHtoD_v2(base, sent, bytes));
	WORKS(cuMemcpyDtoH_v2(received, base, bytes));
	assert_memory_equal(sent, received, bytes);
	WORKS(cuMemUnmap(base, bytes));
	for (size_t i = 0; i < 2; i++)
		WORKS(cuMemMap(base + i * granule, granule, 0, handles[1 - i], 0));
	WORKS(cuMemSetAccess(base, bytes, &all_access, 1));
	WORKS(cuMemcpyDtoH_v2(received, base, bytes));
	assert_memory_equal(received, sent + granule, granule);
	assert_memory_equal(received + granule, sent, granule);
	WORKS(cuMemUnmap(base, bytes));
	for (size_t i = 0; i < 2; i++)
		WORKS(cuMemRelease(handles[i]));
	WORKS(cuMemAddressFree(base, bytes));
	free(sent);
	free(received);
}

/* The same memory at two addresses. */
static void test_alias(void **state)
{
	CUmemGenericAllocationHandle handle;
	CUdeviceptr base;

	(void)state;
	WORKS(cuMemAddressReserve(&base, 2 * granule, 0, 0, 0));
	WORKS(cuMemCreate(&handle, granule, &properties, 0));
	WORKS(cuMemMap(base, granule, 0, handle, 0));
	WORKS(cuMemMap(base + granule, granule, 0, handle, 0));
	WORKS(cuMemSetAccess(base, 2 * granule, &all_access, 1));
	WORKS(cuMemsetD32_v2(base, 7, granule / 4));
	WORKS(cuCtxSynchronize());
	assert_int_equal(word_read(base + granule), 7);
	WORKS(cuMemUnmap(base, 2 * granule));
	WORKS(cuMemRelease(handle));
	WORKS(cuMemAddressFree(base, 2 * granule));
}

static void test_handles(void **state)
{
	CUmemGenericAllocationHandle handle, retained;
	CUmemAllocationProp answer;
	unsigned long long flags = 99;
	CUdeviceptr base;

	(void)state;
	WORKS(cuMemAddressReserve(&base, granule, 0, 0, 0));
	WORKS(cuMemCreate(&handle, granule, &properties, 0));
	WORKS(cuMemGetAllocationPropertiesFromHandle(&answer, handle));
	assert_int_equal(answer.type, CU_MEM_ALLOCATION_TYPE_PINNED);
	assert_int_equal(answer.location.type, CU_MEM_LOCATION_TYPE_DEVICE);
	assert_int_equal(answer.location.id, 0);
	WORKS(cuMemMap(base, granule, 0, handle, 0));
	WORKS(cuMemSetAccess(base, granule, &all_access, 1));
	WORKS(cuMemGetAccess(&flags, &all_access.location, base));
	assert_int_equal(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	WORKS(cuMemRelease(handle));
	/* Only the mapping is left, through which a handle can be had again. */
	WORKS(cuMemRetainAllocationHandle(&retained, (void *)(uintptr_t)(base + 4096)));
	WORKS(cuMemUnmap(base, granule));
	WORKS(cuMemMap(base, granule, 0, retained, 0));
	WORKS(cuMemUnmap(base, granule));
	WORKS(cuMemRelease(retained));
	assert_int_not_equal(cuMemRetainAllocationHandle(&retained, (void *)(uintptr_t)base), CUDA_SUCCESS);
	WORKS(cuMemAddressFree(base, granule));
}

static void test_refusals(void **state)
{
	CUmemAllocationProp shared = properties;
	CUmemGenericAllocationHandle handle;
	CUdeviceptr base;

	(void)state;
	WORKS(cuMemAddressReserve(&base, 4 * granule, 0, 0, 0));
	WORKS(cuMemCreate(&handle, 2 * granule, &properties, 0));
	assert_int_equal(cuMemCreate(&handle, granule + 1, &properties, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemCreate(&handle, 0, &properties, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemCreate(&handle, granule, NULL, 0), CUDA_ERROR_INVALID_VALUE);
	shared.type = CU_MEM_ALLOCATION_TYPE_INVALID;
	assert_int_equal(cuMemCreate(&handle, granule, &shared, 0), CUDA_ERROR_INVALID_VALUE);
	/* Behind the memory's end, the reservation's end, over a mapping. */
	assert_int_not_equal(cuMemMap(base, 2 * granule, granule, handle, 0), CUDA_SUCCESS);
	/* Driver 580 itself maps behind a reservation. */
	if (!getenv("VGPU_NATIVE"))
		assert_int_not_equal(cuMemMap(base + 3 * granule, 2 * granule, 0, handle, 0), CUDA_SUCCESS);
	WORKS(cuMemMap(base, 2 * granule, 0, handle, 0));
	assert_int_not_equal(cuMemMap(base + granule, granule, 0, handle, 0), CUDA_SUCCESS);
	/* A part of a mapping. */
	assert_int_not_equal(cuMemUnmap(base, granule), CUDA_SUCCESS);
	WORKS(cuMemUnmap(base, 2 * granule));
	WORKS(cuMemRelease(handle));
	WORKS(cuMemAddressFree(base, 4 * granule));
}

/* What was given back is there for the next one. */
static void test_memory_comes_back(void **state)
{
	size_t free_before, free_after, total;

	(void)state;
	WORKS(cuMemGetInfo_v2(&free_before, &total));
	for (int i = 0; i < 50; i++) {
		CUmemGenericAllocationHandle handle;
		CUdeviceptr base;

		WORKS(cuMemCreate(&handle, 8 * granule, &properties, 0));
		WORKS(cuMemAddressReserve(&base, 8 * granule, 0, 0, 0));
		WORKS(cuMemMap(base, 8 * granule, 0, handle, 0));
		WORKS(cuMemGetInfo_v2(&free_after, &total));
		assert_true(free_after + 8 * granule <= free_before);
		WORKS(cuMemRelease(handle));
		WORKS(cuMemUnmap(base, 8 * granule));
		WORKS(cuMemAddressFree(base, 8 * granule));
	}
	WORKS(cuMemGetInfo_v2(&free_after, &total));
	assert_true(free_after + 8 * granule > free_before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attribute),	  cmocka_unit_test(test_segment_grows),
		cmocka_unit_test(test_copy_across),	  cmocka_unit_test(test_alias),
		cmocka_unit_test(test_handles),		  cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_memory_comes_back),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
