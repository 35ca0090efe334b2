/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access to pools, copies between contexts, batches of copies, and operations that wait because the program asks for
 * it, with any libcuda.so.1 and one device. Run by test_memory.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "stream_calls.h"

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr address);
CUresult cuPointerSetAttribute(const void *value, CUpointer_attribute attribute, CUdeviceptr address);
CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes);

#define BYTES 65536u

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static CUcontext context;

static int setup(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context);
}

static void test_pool_access(void **state)
{
	const CUmemPoolProps properties = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
	};
	CUmemAccessDesc access = {
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
		.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
	};
	CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
	CUmemoryPool pool;

	(void)state;
	WORKS(cuMemPoolCreate(&pool, &properties));
	WORKS(cuMemPoolSetAccess(pool, &access, 1));
	WORKS(cuMemPoolGetAccess(&flags, pool, &access.location));
	assert_int_equal(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	access.location.id = 99;
	assert_int_not_equal(cuMemPoolSetAccess(pool, &access, 1), CUDA_SUCCESS);
	assert_int_not_equal(cuMemPoolGetAccess(&flags, pool, &access.location), CUDA_SUCCESS);
	assert_int_not_equal(cuMemPoolSetAccess(pool, NULL, 1), CUDA_SUCCESS);
	WORKS(cuMemPoolDestroy(pool));
}

static void test_pool_of_location(void **state)
{
	const CUmemPoolProps properties = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
	};
	CUmemLocation location = {.type = CU_MEM_LOCATION_TYPE_DEVICE};
	CUmemoryPool usual, current, pool;

	(void)state;
	WORKS(cuMemGetDefaultMemPool(&usual, &location, CU_MEM_ALLOCATION_TYPE_PINNED));
	WORKS(cuMemGetMemPool(&current, &location, CU_MEM_ALLOCATION_TYPE_PINNED));
	assert_ptr_equal(usual, current);
	WORKS(cuMemPoolCreate(&pool, &properties));
	WORKS(cuMemSetMemPool(&location, CU_MEM_ALLOCATION_TYPE_PINNED, pool));
	WORKS(cuMemGetMemPool(&current, &location, CU_MEM_ALLOCATION_TYPE_PINNED));
	assert_ptr_equal(pool, current);
	WORKS(cuMemSetMemPool(&location, CU_MEM_ALLOCATION_TYPE_PINNED, usual));
	WORKS(cuMemPoolDestroy(pool));
	location.id = 99;
	assert_int_not_equal(cuMemGetMemPool(&current, &location, CU_MEM_ALLOCATION_TYPE_PINNED), CUDA_SUCCESS);
}

static void test_peer(void **state)
{
	CUdeviceptr from, to;
	CUcontext other;
	uint32_t word = 0;
	int can = 1;

	(void)state;
	/* A device is not its own peer. */
	WORKS(cuDeviceCanAccessPeer(&can, 0, 0));
	assert_int_equal(can, 0);
	assert_int_not_equal(cuCtxEnablePeerAccess(context, 0), CUDA_SUCCESS);
	assert_int_not_equal(cuCtxDisablePeerAccess(context), CUDA_SUCCESS);
	assert_int_equal(cuCtxEnablePeerAccess(NULL, 0), CUDA_ERROR_INVALID_CONTEXT);
	WORKS(cuMemAlloc_v2(&from, BYTES));
	WORKS(cuMemsetD32_v2(from, 77, BYTES / 4));
	WORKS(cuCtxSynchronize());
	WORKS(cuCtxCreate_v2(&other, 0, 0));
	WORKS(cuMemAlloc_v2(&to, BYTES));
	WORKS(cuMemcpyPeer(to, other, from, context, BYTES));
	WORKS(cuCtxSynchronize());
	WORKS(cuMemcpyDtoH_v2(&word, to + BYTES - 4, sizeof(word)));
	assert_int_equal(word, 77);
	WORKS(cuMemsetD32_v2(to, 78, BYTES / 4));
	WORKS(cuMemcpyPeerAsync(from, context, to, other, BYTES, NULL));
	WORKS(cuCtxSynchronize());
	WORKS(cuCtxDestroy_v2(other));
	WORKS(cuCtxSetCurrent(context));
	WORKS(cuMemcpyDtoH_v2(&word, from, sizeof(word)));
	assert_int_equal(word, 78);
	WORKS(cuMemFree_v2(from));
}

static void test_batch(void **state)
{
	CUmemcpyAttributes attributes[2] = {
		{.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM},
		{.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL},
	};
	size_t indices[2] = {0, 1}, sizes[3] = {BYTES, BYTES, BYTES}, failed = 0;
	CUdeviceptr from[3], to[3];
	uint32_t *plain = malloc(BYTES), *back = malloc(BYTES), *pinned;
	CUstream stream;

	(void)state;
	assert_non_null(plain);
	assert_non_null(back);
	WORKS(cuStreamCreate(&stream, 0));
	WORKS(cuMemAllocHost_v2((void **)&pinned, BYTES));
	for (int i = 0; i < 3; i++)
		WORKS(cuMemAlloc_v2(&to[i], BYTES));
	for (uint32_t i = 0; i < BYTES / 4; i++) {
		plain[i] = i;
		pinned[i] = ~i;
	}
	WORKS(cuMemAlloc_v2(&from[0], BYTES));
	WORKS(cuMemsetD32_v2(from[0], 9, BYTES / 4));
	WORKS(cuCtxSynchronize());
	from[1] = (uintptr_t)plain;
	from[2] = (uintptr_t)pinned;
	WORKS(cuMemcpyBatchAsync(to, from, sizes, 3, attributes, indices, 2, &failed, stream));
	/* They were read during the call. */
	plain[BYTES / 4 - 1] = pinned[BYTES / 4 - 1] = 0;
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuMemcpyDtoH_v2(back, to[0], BYTES));
	assert_int_equal(back[BYTES / 4 - 1], 9);
	WORKS(cuMemcpyDtoH_v2(back, to[1], BYTES));
	assert_int_equal(back[BYTES / 4 - 1], BYTES / 4 - 1);
	WORKS(cuMemcpyDtoH_v2(back, to[2], BYTES));
	assert_int_equal(back[BYTES / 4 - 1], ~(BYTES / 4 - 1));
	/* No legacy default stream; attributes in order and for all copies. */
	assert_int_equal(cuMemcpyBatchAsync(to, from, sizes, 3, attributes, indices, 2, &failed, NULL),
			 CUDA_ERROR_INVALID_VALUE);
	indices[1] = 3;
	assert_int_equal(cuMemcpyBatchAsync(to, from, sizes, 3, attributes, indices, 2, &failed, stream),
			 CUDA_ERROR_INVALID_VALUE);
	indices[0] = 1;
	assert_int_equal(cuMemcpyBatchAsync(to, from, sizes, 3, attributes, indices, 1, &failed, stream),
			 CUDA_ERROR_INVALID_VALUE);
	for (int i = 0; i < 3; i++)
		WORKS(cuMemFree_v2(to[i]));
	WORKS(cuMemFree_v2(from[0]));
	WORKS(cuMemFreeHost(pinned));
	WORKS(cuStreamDestroy_v2(stream));
	free(plain);
	free(back);
}

static int ended;

/* In the default stream; what comes behind it is not done for a while. */
static void linger(void *data)
{
	(void)data;
	nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	__atomic_store_n(&ended, 1, __ATOMIC_SEQ_CST);
}

static void linger_begin(void)
{
	__atomic_store_n(&ended, 0, __ATOMIC_SEQ_CST);
	WORKS(cuLaunchHostFunc(NULL, linger, NULL));
}

static void test_synchronous_operations(void **state)
{
	CUdeviceptr memory, other;
	unsigned int flag = 1, found = 77;
	uint32_t host = 0;

	(void)state;
	WORKS(cuMemAlloc_v2(&memory, BYTES));
	WORKS(cuMemAlloc_v2(&other, BYTES));
	WORKS(cuPointerSetAttribute(&flag, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, memory));
	WORKS(cuPointerGetAttribute(&found, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, memory + 100));
	assert_int_equal(found, 1);
	linger_begin();
	WORKS(cuMemsetD32_v2(memory, 5, BYTES / 4));
	assert_int_equal(__atomic_load_n(&ended, __ATOMIC_SEQ_CST), 1);
	linger_begin();
	WORKS(cuMemcpyDtoD_v2(memory, other, BYTES));
	assert_int_equal(__atomic_load_n(&ended, __ATOMIC_SEQ_CST), 1);
	linger_begin();
	WORKS(cuMemcpyDtoD_v2(other, memory, BYTES));
	assert_int_equal(__atomic_load_n(&ended, __ATOMIC_SEQ_CST), 1);
	flag = 0;
	WORKS(cuPointerSetAttribute(&flag, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, memory));
	WORKS(cuPointerGetAttribute(&found, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, memory));
	assert_int_equal(found, 0);
	WORKS(cuCtxSynchronize());
	/* Nothing else can be set, and of nothing else. */
	assert_int_not_equal(cuPointerSetAttribute(&flag, CU_POINTER_ATTRIBUTE_BUFFER_ID, memory), CUDA_SUCCESS);
	if (!getenv("VGPU_NATIVE"))
		assert_int_not_equal(cuPointerSetAttribute(NULL, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, memory),
				     CUDA_SUCCESS);
	assert_int_not_equal(cuPointerSetAttribute(&flag, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, (uintptr_t)&host),
			     CUDA_SUCCESS);
	WORKS(cuMemFree_v2(memory));
	WORKS(cuMemFree_v2(other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool_access),
		cmocka_unit_test(test_pool_of_location),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_synchronous_operations),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
