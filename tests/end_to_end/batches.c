/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of copies of boxes and of advice, and what links can do: with any libcuda.so.1. Run by test_memory.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "memory_calls.h"

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

enum { WIDTH = 8, HEIGHT = 4, DEPTH = 3, ROW = WIDTH + 2, BYTES = 1 << 16 };

CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor);
CUresult cuArrayDestroy(CUarray array);
CUresult cuMemcpy3DBatchAsync(size_t count, CUDA_MEMCPY3D_BATCH_OP *operations, size_t *failed,
			      unsigned long long flags, CUstream stream);
CUresult cuMemcpy3DBatchAsync_v2(size_t count, CUDA_MEMCPY3D_BATCH_OP *operations, unsigned long long flags,
				 CUstream stream);
CUresult cuMemDiscardBatchAsync(CUdeviceptr *addresses, size_t *sizes, size_t count, unsigned long long flags,
				CUstream stream);
CUresult cuMemPrefetchBatchAsync(CUdeviceptr *addresses, size_t *sizes, size_t count, CUmemLocation *locations,
				 size_t *indices, size_t location_count, unsigned long long flags, CUstream stream);
CUresult cuDeviceGetHostAtomicCapabilities(unsigned int *capabilities, const CUatomicOperation *operations,
					   unsigned int count, CUdevice device);
CUresult cuDeviceGetP2PAtomicCapabilities(unsigned int *capabilities, const CUatomicOperation *operations,
					  unsigned int count, CUdevice source, CUdevice destination);
CUresult cuDeviceGetExecAffinitySupport(int *supported, CUexecAffinityType type, CUdevice device);
CUresult cuCtxGetExecAffinity(CUexecAffinityParam *affinity, CUexecAffinityType type);

static CUcontext context;
static CUstream stream;

static int setup(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuStreamCreate(&stream, 0);
}

static CUmemcpy3DOperand pointer(const void *address, size_t row, size_t layer)
{
	return (CUmemcpy3DOperand){
		.type = CU_MEMCPY_OPERAND_TYPE_POINTER,
		.op.ptr = {.ptr = (uintptr_t)address, .rowLength = row, .layerHeight = layer},
	};
}

static CUmemcpy3DOperand place(CUarray array, size_t x, size_t y, size_t z)
{
	return (CUmemcpy3DOperand){
		.type = CU_MEMCPY_OPERAND_TYPE_ARRAY,
		.op.array = {.array = array, .offset = {x, y, z}},
	};
}

static CUDA_MEMCPY3D_BATCH_OP box(CUmemcpy3DOperand from, CUmemcpy3DOperand to, size_t width, size_t height,
				  size_t depth)
{
	return (CUDA_MEMCPY3D_BATCH_OP){
		.src = from,
		.dst = to,
		.extent = {width, height, depth},
		.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM,
	};
}

/* Words with padded rows into an array; a part of that into memory of the device; back without padding. */
static void test_boxes(void **state)
{
	const CUDA_ARRAY3D_DESCRIPTOR descriptor = {.Width = WIDTH,
						    .Height = HEIGHT,
						    .Depth = DEPTH,
						    .Format = CU_AD_FORMAT_UNSIGNED_INT32,
						    .NumChannels = 1};
	static uint32_t from[DEPTH][HEIGHT][ROW], back[DEPTH - 1][HEIGHT - 1][WIDTH - 3], bytes[16], bytes_back[16];
	CUDA_MEMCPY3D_BATCH_OP operations[2];
	CUdeviceptr device, other;
	CUarray array;
	size_t failed = 0;

	(void)state;
	for (uint32_t i = 0; i < DEPTH * HEIGHT * ROW; i++)
		(&from[0][0][0])[i] = i * 7;
	for (uint32_t i = 0; i < 16; i++)
		bytes[i] = ~i;
	WORKS(cuArray3DCreate_v2(&array, &descriptor));
	WORKS(cuMemAlloc_v2(&device, sizeof(from)));
	WORKS(cuMemAlloc_v2(&other, sizeof(bytes)));
	operations[0] = box(pointer(from, ROW, 0), place(array, 0, 0, 0), WIDTH, HEIGHT, DEPTH);
	operations[1] = box(pointer(bytes, 0, 0), pointer((void *)(uintptr_t)other, 0, 0), sizeof(bytes), 1, 1);
	WORKS(cuMemcpy3DBatchAsync(2, operations, &failed, 0, stream));
	operations[0] = box(place(array, 3, 1, 1), pointer((void *)(uintptr_t)device, ROW, HEIGHT), WIDTH - 3,
			    HEIGHT - 1, DEPTH - 1);
	operations[1] = box(pointer((void *)(uintptr_t)other, 0, 0), pointer(bytes_back, 0, 0), sizeof(bytes), 1, 1);
	WORKS(cuMemcpy3DBatchAsync_v2(2, operations, 0, stream));
	/* Between two pointers an element is a byte. */
	operations[0] = box(pointer((void *)(uintptr_t)device, ROW * 4, HEIGHT), pointer(back, 0, 0), (WIDTH - 3) * 4,
			    HEIGHT - 1, DEPTH - 1);
	WORKS(cuMemcpy3DBatchAsync_v2(1, operations, 0, stream));
	WORKS(cuStreamSynchronize(stream));
	for (size_t z = 0; z < DEPTH - 1; z++)
		for (size_t y = 0; y < HEIGHT - 1; y++)
			for (size_t x = 0; x < WIDTH - 3; x++)
				assert_int_equal(back[z][y][x], from[z + 1][y + 1][x + 3]);
	assert_memory_equal(bytes, bytes_back, sizeof(bytes));

	/* The second one has no width; there is no legacy default stream; a row is at least as long as what is copied.
	 */
	operations[1].extent.width = 0;
	assert_int_equal(cuMemcpy3DBatchAsync(2, operations, &failed, 0, stream), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(failed, 1);
	assert_int_equal(cuMemcpy3DBatchAsync_v2(1, operations, 0, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemcpy3DBatchAsync_v2(1, operations, 1, stream), CUDA_ERROR_INVALID_VALUE);
	operations[0].src.op.ptr.rowLength = 1;
	assert_int_equal(cuMemcpy3DBatchAsync_v2(1, operations, 0, stream), CUDA_ERROR_INVALID_VALUE);
	operations[0] = box(place(array, 0, 0, 0), place(array, 1, 0, 0), WIDTH, 1, 1);
	assert_int_equal(cuMemcpy3DBatchAsync_v2(1, operations, 0, stream), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuArrayDestroy(array));
	WORKS(cuMemFree_v2(device));
	WORKS(cuMemFree_v2(other));
}

static void test_advice(void **state)
{
	CUmemLocation locations[2] = {{.type = CU_MEM_LOCATION_TYPE_DEVICE}, {.type = CU_MEM_LOCATION_TYPE_HOST}};
	size_t sizes[3] = {BYTES, BYTES, BYTES}, indices[2] = {0, 2};
	CUdeviceptr addresses[3];
	int where = -7;

	(void)state;
	for (int i = 0; i < 3; i++)
		WORKS(cuMemAllocManaged(&addresses[i], BYTES, CU_MEM_ATTACH_GLOBAL));
	WORKS(cuMemPrefetchBatchAsync(addresses, sizes, 3, locations, indices, 2, 0, stream));
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuMemRangeGetAttribute(&where, sizeof(where), CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, addresses[1],
				     BYTES));
	assert_int_equal(where, 0);
	WORKS(cuMemRangeGetAttribute(&where, sizeof(where), CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, addresses[2],
				     BYTES));
	assert_int_equal(where, CU_DEVICE_CPU);
	WORKS(cuMemDiscardBatchAsync(addresses, sizes, 3, 0, stream));
	WORKS(cuStreamSynchronize(stream));
	/* What is discarded can be written again. */
	memset((void *)(uintptr_t)addresses[0], 5, BYTES);
	assert_int_equal(*(unsigned char *)(uintptr_t)(addresses[0] + BYTES - 1), 5);
	indices[1] = 3;
	assert_int_equal(cuMemPrefetchBatchAsync(addresses, sizes, 3, locations, indices, 2, 0, stream),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemDiscardBatchAsync(addresses, sizes, 3, 1, stream), CUDA_ERROR_INVALID_VALUE);
	sizes[2] = BYTES * 2;
	assert_int_equal(cuMemDiscardBatchAsync(addresses, sizes, 3, 0, stream), CUDA_ERROR_INVALID_VALUE);
	for (int i = 0; i < 3; i++)
		WORKS(cuMemFree_v2(addresses[i]));
}

static void test_atomics(void **state)
{
	const CUatomicOperation operations[2] = {CU_ATOMIC_OPERATION_INTEGER_ADD, CU_ATOMIC_OPERATION_CAS};
	const CUatomicOperation none = CU_ATOMIC_OPERATION_MAX;
	unsigned int capabilities[2] = {~0u, ~0u};

	(void)state;
	WORKS(cuDeviceGetHostAtomicCapabilities(capabilities, operations, 2, 0));
	for (int i = 0; i < 2; i++)
		assert_int_equal(capabilities[i] & ~0x7fu, 0);
	assert_int_equal(cuDeviceGetHostAtomicCapabilities(capabilities, &none, 1, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuDeviceGetHostAtomicCapabilities(capabilities, operations, 0, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuDeviceGetHostAtomicCapabilities(capabilities, operations, 2, 99), CUDA_ERROR_INVALID_DEVICE);
	assert_int_equal(cuDeviceGetP2PAtomicCapabilities(capabilities, operations, 2, 0, -1),
			 CUDA_ERROR_INVALID_DEVICE);
}

static void test_affinity(void **state)
{
	CUexecAffinityParam affinity;
	int supported = 7, processors;

	(void)state;
	WORKS(cuDeviceGetExecAffinitySupport(&supported, CU_EXEC_AFFINITY_TYPE_SM_COUNT, 0));
	assert_int_equal(supported, 0);
	/* Every context has all multiprocessors then (driver 580.159.04). */
	WORKS(cuDeviceGetAttribute(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
	WORKS(cuCtxGetExecAffinity(&affinity, CU_EXEC_AFFINITY_TYPE_SM_COUNT));
	assert_int_equal(affinity.type, CU_EXEC_AFFINITY_TYPE_SM_COUNT);
	printf("result affinity %u\n", affinity.param.smCount.val);
	assert_int_equal(affinity.param.smCount.val, processors);
	assert_int_equal(cuDeviceGetExecAffinitySupport(&supported, CU_EXEC_AFFINITY_TYPE_SM_COUNT, 99),
			 CUDA_ERROR_INVALID_DEVICE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boxes),
		cmocka_unit_test(test_advice),
		cmocka_unit_test(test_atomics),
		cmocka_unit_test(test_affinity),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
