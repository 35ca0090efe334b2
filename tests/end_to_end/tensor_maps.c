/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensor maps and the block size that fills a device, with any libcuda.so.1. Run by test_streams.py. What is in a
 * map is the driver's own affair: this looks at what is accepted, and that a kernel gets all of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "stream_calls.h"

CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
				const cuuint64_t *dimensions, const cuuint64_t *strides, const cuuint32_t *box,
				const cuuint32_t *element_strides, CUtensorMapInterleave interleave,
				CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
				CUtensorMapFloatOOBfill fill);
CUresult cuTensorMapEncodeIm2col(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
				 const cuuint64_t *dimensions, const cuuint64_t *strides, const int *lower,
				 const int *upper, cuuint32_t channels, cuuint32_t pixels,
				 const cuuint32_t *element_strides, CUtensorMapInterleave interleave,
				 CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
				 CUtensorMapFloatOOBfill fill);
CUresult cuTensorMapReplaceAddress(CUtensorMap *map, void *address);
CUresult cuOccupancyMaxPotentialBlockSize(int *grid_size, int *block_size, CUfunction function,
					  CUoccupancyB2DSize shared_bytes, size_t dynamic_bytes, int limit);

#define WORKS(call)   assert_int_equal(call, CUDA_SUCCESS)
#define INVALID(call) assert_int_equal(call, CUDA_ERROR_INVALID_VALUE)

/* Copies its parameter of 128 bytes. */
static const char give_image[] =
	".version 7.0\n.target sm_70\n.address_size 64\n"
	".visible .entry give(.param .align 64 .b8 map[128], .param .u64 to)\n{\n"
	"\t.reg .b32 %r<3>; .reg .b64 %d<6>;\n"
	"\tmov.b64 %d1, map;\n\tld.param.u64 %d2, [to];\n\tcvta.to.global.u64 %d2, %d2;\n"
	"\tmov.u32 %r1, %tid.x;\n\tmul.wide.u32 %d3, %r1, 4;\n\tadd.s64 %d4, %d1, %d3;\n\tadd.s64 %d5, %d2, %d3;\n"
	"\tld.param.u32 %r2, [%d4];\n\tst.global.u32 [%d5], %r2;\n\tret;\n}\n";

static CUdeviceptr memory;

static int setup(void **state)
{
	CUcontext context;

	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuMemAlloc_v2(&memory, 1 << 20);
}

/* A matrix of 512 rows of 256 floats of which boxes of 'columns' by 32 are taken. */
struct matrix {
	CUtensorMapDataType type;
	cuuint32_t rank;
	uint64_t offset;
	cuuint64_t columns;
	cuuint64_t stride;
	cuuint32_t box;
	cuuint32_t step;
	CUtensorMapInterleave interleave;
	CUtensorMapSwizzle swizzle;
	CUtensorMapFloatOOBfill fill;
};

static const struct matrix usual = {
	.type = CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
	.rank = 2,
	.columns = 256,
	.stride = 1024,
	.box = 32,
	.step = 1,
	.swizzle = CU_TENSOR_MAP_SWIZZLE_128B,
};

static CUresult matrix_encode(CUtensorMap *map, struct matrix matrix)
{
	const cuuint64_t dimensions[5] = {matrix.columns, 512, 1, 1, 1};
	const cuuint64_t strides[4] = {matrix.stride, matrix.stride * 512, matrix.stride * 512, matrix.stride * 512};
	const cuuint32_t box[5] = {matrix.box, 32, 1, 1, 1};
	const cuuint32_t steps[5] = {1, matrix.step, 1, 1, 1};

	return cuTensorMapEncodeTiled(map, matrix.type, matrix.rank, (void *)(uintptr_t)(memory + matrix.offset),
				      dimensions, strides, box, steps, matrix.interleave, matrix.swizzle,
				      CU_TENSOR_MAP_L2_PROMOTION_L2_128B, matrix.fill);
}

static void test_tiled(void **state)
{
	CUtensorMap first, again, moved;

	(void)state;
	memset(&first, 0, sizeof(first));
	memset(&again, 0xff, sizeof(again));
	WORKS(matrix_encode(&first, usual));
	WORKS(matrix_encode(&again, usual));
	assert_memory_equal(&first, &again, sizeof(first));
	struct matrix other = usual;
	other.offset = 4096;
	WORKS(matrix_encode(&moved, other));
	assert_memory_not_equal(&first, &moved, sizeof(first));
	WORKS(cuTensorMapReplaceAddress(&again, (void *)(uintptr_t)(memory + 4096)));
	assert_memory_equal(&again, &moved, sizeof(moved));
	INVALID(cuTensorMapReplaceAddress(&again, (void *)(uintptr_t)(memory + 4)));
}

static void test_refused(void **state)
{
	_Alignas(128) unsigned char bytes[256];
	CUtensorMap map;
	struct matrix matrix;

#define REFUSED(change)                               \
	do {                                          \
		matrix = usual;                       \
		matrix.change;                        \
		INVALID(matrix_encode(&map, matrix)); \
	} while (0)
	(void)state;
	REFUSED(rank = 0);
	REFUSED(rank = 6);
	REFUSED(offset = 8);
	REFUSED(columns = 0);
	REFUSED(columns = (1ull << 32) + 1);
	REFUSED(stride = 1000);
	REFUSED(stride = 1ull << 40);
	REFUSED(box = 0);
	REFUSED(box = 257);
	REFUSED(box = 3);
	REFUSED(box = 64); /* 256 bytes, and swizzled in 128 */
	REFUSED(step = 0);
	REFUSED(step = 9);
	REFUSED(interleave = CU_TENSOR_MAP_INTERLEAVE_16B); /* of two dimensions */
	matrix = usual;
	matrix.type = CU_TENSOR_MAP_DATA_TYPE_INT32;
	matrix.fill = CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA;
	INVALID(matrix_encode(&map, matrix));
	INVALID(matrix_encode(NULL, usual));
	/* Driver 580 itself does not look at this. */
	if (!getenv("VGPU_NATIVE"))
		INVALID(matrix_encode((CUtensorMap *)(void *)(bytes + 16), usual));
	INVALID(cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2, (void *)(uintptr_t)memory, NULL, NULL,
				       NULL, NULL, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
				       CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
}

static CUresult image_encode(CUtensorMap *map, cuuint32_t rank, int lower, cuuint32_t channels, cuuint32_t pixels)
{
	const cuuint64_t dimensions[5] = {64, 28, 28, 8, 1};
	const cuuint64_t strides[4] = {128, 128 * 28, 128 * 28 * 28, 128 * 28 * 28 * 8};
	const cuuint32_t steps[5] = {1, 1, 1, 1, 1};
	const int lowers[3] = {lower, lower, lower};
	const int uppers[3] = {-1, -1, -1};

	return cuTensorMapEncodeIm2col(map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, rank, (void *)(uintptr_t)memory,
				       dimensions, strides, lowers, uppers, channels, pixels, steps,
				       CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
				       CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

static void test_im2col(void **state)
{
	CUtensorMap map;

	(void)state;
	WORKS(image_encode(&map, 4, -1, 64, 128));
	INVALID(image_encode(&map, 2, -1, 64, 128));
	INVALID(image_encode(&map, 4, -129, 64, 128));
	INVALID(image_encode(&map, 4, -1, 257, 128));
	INVALID(image_encode(&map, 4, -1, 64, 1025));
}

static void test_parameter(void **state)
{
	CUtensorMap map, got;
	CUdeviceptr to;
	void *parameters[] = {&map, &to};
	CUfunction function;
	CUmodule module;

	(void)state;
	WORKS(cuMemAlloc_v2(&to, sizeof(map)));
	WORKS(matrix_encode(&map, usual));
	WORKS(cuModuleLoadData(&module, give_image));
	WORKS(cuModuleGetFunction(&function, module, "give"));
	WORKS(cuLaunchKernel(function, 1, 1, 1, sizeof(map) / 4, 1, 1, 0, NULL, parameters, NULL));
	WORKS(cuMemcpyDtoH_v2(&got, to, sizeof(got)));
	assert_memory_equal(&got, &map, sizeof(map));
	WORKS(cuMemFree_v2(to));
	WORKS(cuModuleUnload(module));
}

/* A byte for each thread, and 16 KiB. */
static size_t shared_bytes(int threads)
{
	return 16384 + (size_t)threads;
}

static void test_block_size(void **state)
{
	int grid = 0, block = 0, multiprocessors = 0;
	CUfunction function;
	CUmodule module;

	(void)state;
	WORKS(cuDeviceGetAttribute(&multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
	WORKS(cuModuleLoadData(&module, increment_image));
	WORKS(cuModuleGetFunction(&function, module, "increment"));
	WORKS(cuOccupancyMaxPotentialBlockSize(&grid, &block, function, NULL, 0, 0));
	assert_int_equal(block % 32, 0);
	assert_int_equal(grid % multiprocessors, 0);
	assert_true(grid > 0);
	WORKS(cuOccupancyMaxPotentialBlockSize(&grid, &block, function, shared_bytes, 0, 100));
	assert_true(block > 0 && block <= 100);
	INVALID(cuOccupancyMaxPotentialBlockSize(NULL, &block, function, NULL, 0, 0));
	assert_int_equal(cuOccupancyMaxPotentialBlockSize(&grid, &block, NULL, NULL, 0, 0), CUDA_ERROR_INVALID_HANDLE);
	WORKS(cuModuleUnload(module));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiled),	  cmocka_unit_test(test_refused),    cmocka_unit_test(test_im2col),
		cmocka_unit_test(test_parameter), cmocka_unit_test(test_block_size),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
