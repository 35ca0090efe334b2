/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream-ordered memory of a program that uses more than half of what there is at a time, again and again: what it
 * has freed must be there for it. With "quota" what there is is the tenant's limit. Run by test_memory.py, and
 * natively.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "memory_calls.h"

#define MIB    ((size_t)1 << 20)
#define ROUNDS 20

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device);
CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream);
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream);
CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void *value);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static bool has_quota;
static CUstream streams[2];
static size_t bytes = 16 * MIB;

static size_t free_bytes(void)
{
	size_t free, total;

	WORKS(cuMemGetInfo_v2(&free, &total));
	return free;
}

static int setup(void **state)
{
	CUcontext context;

	(void)state;
	WORKS(cuInit(0));
	WORKS(cuDevicePrimaryCtxRetain(&context, 0));
	WORKS(cuCtxSetCurrent(context));
	for (int i = 0; i < 2; i++)
		WORKS(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
	if (has_quota)
		bytes = free_bytes() / 10 * 6;
	return 0;
}

static void use_and_free(CUdeviceptr address, CUstream stream)
{
	WORKS(cuMemsetD8Async(address, 1, bytes, stream));
	WORKS(cuMemFreeAsync(address, stream));
}

static void test_one_stream(void **state)
{
	CUdeviceptr address;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		WORKS(cuMemAllocAsync(&address, bytes, streams[0]));
		use_and_free(address, streams[0]);
	}
	WORKS(cuStreamSynchronize(streams[0]));
}

static void test_two_streams(void **state)
{
	CUdeviceptr address;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		WORKS(cuMemAllocAsync(&address, bytes, streams[i % 2]));
		use_and_free(address, streams[i % 2]);
	}
	/* And memory of no pool. */
	WORKS(cuMemAlloc_v2(&address, bytes));
	WORKS(cuMemFree_v2(address));
	WORKS(cuCtxSynchronize());
}

/* What a pool would keep for ever is there for who needs it. */
static void test_threshold(void **state)
{
	cuuint64_t threshold = UINT64_MAX, none = 0;
	CUdeviceptr address;
	CUmemoryPool pool;

	(void)state;
	WORKS(cuDeviceGetDefaultMemPool(&pool, 0));
	WORKS(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
	WORKS(cuMemAllocAsync(&address, bytes, streams[0]));
	use_and_free(address, streams[0]);
	WORKS(cuStreamSynchronize(streams[0]));
	WORKS(cuMemAlloc_v2(&address, bytes));
	WORKS(cuMemFree_v2(address));
	WORKS(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &none));
}

static void test_ended_pool(void **state)
{
	const CUmemPoolProps properties = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
	};
	CUdeviceptr address;
	CUmemoryPool pool;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		WORKS(cuMemPoolCreate(&pool, &properties));
		WORKS(cuMemAllocFromPoolAsync(&address, bytes, pool, streams[0]));
		WORKS(cuMemPoolDestroy(pool));
		use_and_free(address, streams[0]);
	}
	WORKS(cuStreamSynchronize(streams[0]));
}

static void test_limit(void **state)
{
	CUdeviceptr address, other;

	(void)state;
	if (!has_quota)
		skip();
	WORKS(cuMemAllocAsync(&address, bytes, streams[0]));
	assert_int_equal(cuMemAllocAsync(&other, bytes, streams[0]), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(cuMemAlloc_v2(&other, bytes), CUDA_ERROR_OUT_OF_MEMORY);
	WORKS(cuMemFreeAsync(address, streams[0]));
	WORKS(cuStreamSynchronize(streams[0]));
	assert_true(free_bytes() >= bytes);
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_stream), cmocka_unit_test(test_two_streams), cmocka_unit_test(test_threshold),
		cmocka_unit_test(test_ended_pool), cmocka_unit_test(test_limit),
	};

	has_quota = argument_count > 1 && strcmp(arguments[1], "quota") == 0;
	return cmocka_run_group_tests(tests, setup, NULL);
}
