/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of several planes, with any libcuda.so.1. Run by test_memory.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "memory_calls.h"

CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor);
CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUarray array);
CUresult cuArrayDestroy(CUarray array);
CUresult cuArrayGetPlane(CUarray *plane, CUarray array, unsigned int index);

#define WORKS(call)   assert_int_equal(call, CUDA_SUCCESS)
#define INVALID(call) assert_int_equal(call, CUDA_ERROR_INVALID_VALUE)

enum { WIDTH = 64, HEIGHT = 32 };

static CUarray whole;

static int setup(void **state)
{
	const CUDA_ARRAY3D_DESCRIPTOR descriptor = {
		.Width = WIDTH, .Height = HEIGHT, .Format = CU_AD_FORMAT_NV12, .NumChannels = 3};
	CUcontext context;

	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuArray3DCreate_v2(&whole, &descriptor);
}

static int teardown(void **state)
{
	(void)state;
	return cuArrayDestroy(whole) != CUDA_SUCCESS;
}

/* API reference, cuArrayGetPlane. */
static void test_planes(void **state)
{
	CUDA_ARRAY3D_DESCRIPTOR descriptor;
	CUarray plane;

	(void)state;
	WORKS(cuArray3DGetDescriptor_v2(&descriptor, whole));
	assert_int_equal(descriptor.Format, CU_AD_FORMAT_NV12);
	for (unsigned int i = 0; i < 2; i++) {
		WORKS(cuArrayGetPlane(&plane, whole, i));
		WORKS(cuArray3DGetDescriptor_v2(&descriptor, plane));
		assert_int_equal(descriptor.Width, WIDTH >> i);
		assert_int_equal(descriptor.Height, HEIGHT >> i);
		assert_int_equal(descriptor.NumChannels, i + 1);
		assert_int_equal(descriptor.Format, CU_AD_FORMAT_UNSIGNED_INT8);
	}
	INVALID(cuArrayGetPlane(&plane, whole, 2));
	INVALID(cuArrayGetPlane(NULL, whole, 0));
}

static CUDA_MEMCPY2D plane_copy(CUarray plane, uint8_t *bytes, size_t width, size_t height, int up)
{
	CUDA_MEMCPY2D copy = {.WidthInBytes = width, .Height = height};

	if (up) {
		copy.srcMemoryType = CU_MEMORYTYPE_HOST;
		copy.srcHost = bytes;
		copy.srcPitch = width;
		copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
		copy.dstArray = plane;
	} else {
		copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
		copy.srcArray = plane;
		copy.dstMemoryType = CU_MEMORYTYPE_HOST;
		copy.dstHost = bytes;
		copy.dstPitch = width;
	}
	return copy;
}

/* Each has bytes of its own; chroma has as many in a row as luma. */
static void test_copies(void **state)
{
	static uint8_t luma[WIDTH * HEIGHT], chroma[WIDTH * HEIGHT / 2], found[WIDTH * HEIGHT];
	CUDA_MEMCPY2D copy;
	CUarray planes[2];

	(void)state;
	WORKS(cuArrayGetPlane(&planes[0], whole, 0));
	WORKS(cuArrayGetPlane(&planes[1], whole, 1));
	for (size_t i = 0; i < sizeof(luma); i++)
		luma[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < sizeof(chroma); i++)
		chroma[i] = (uint8_t)(i * 11 + 3);
	copy = plane_copy(planes[0], luma, WIDTH, HEIGHT, 1);
	WORKS(cuMemcpy2D_v2(&copy));
	copy = plane_copy(planes[1], chroma, WIDTH, HEIGHT / 2, 1);
	WORKS(cuMemcpy2D_v2(&copy));
	copy = plane_copy(planes[0], found, WIDTH, HEIGHT, 0);
	WORKS(cuMemcpy2D_v2(&copy));
	assert_memory_equal(found, luma, sizeof(luma));
	copy = plane_copy(planes[1], found, WIDTH, HEIGHT / 2, 0);
	WORKS(cuMemcpy2D_v2(&copy));
	assert_memory_equal(found, chroma, sizeof(chroma));
	/* Beyond the plane. */
	copy = plane_copy(planes[1], found, WIDTH, HEIGHT, 0);
	INVALID(cuMemcpy2D_v2(&copy));
}

static void test_others(void **state)
{
	CUDA_ARRAY3D_DESCRIPTOR descriptor = {
		.Width = WIDTH, .Height = HEIGHT, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 1};
	CUarray array, plane;

	(void)state;
	WORKS(cuArray3DCreate_v2(&array, &descriptor));
	INVALID(cuArrayGetPlane(&plane, array, 0));
	WORKS(cuArrayDestroy(array));
	/* Planes go with their array. */
	descriptor.Format = CU_AD_FORMAT_P016;
	descriptor.NumChannels = 3;
	for (int i = 0; i < 20; i++) {
		WORKS(cuArray3DCreate_v2(&array, &descriptor));
		WORKS(cuArrayGetPlane(&plane, array, 0));
		WORKS(cuArrayGetPlane(&plane, array, 1));
		WORKS(cuArrayDestroy(array));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_planes), cmocka_unit_test(test_copies),
					   cmocka_unit_test(test_others)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
