/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of several planes, with any libcuda.so.1. Run by test_memory.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "array_copies.h"
#include "cuda_abi.h"
#include "memory_calls.h"

CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor);
CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUarray array);
CUresult cuArrayDestroy(CUarray array);
CUresult cuArrayGetPlane(CUarray *plane, CUarray array, unsigned int index);

#define WORKS(call)   assert_int_equal(call, CUDA_SUCCESS)
#define INVALID(call) assert_int_equal(call, CUDA_ERROR_INVALID_VALUE)

enum { WIDTH = 64, HEIGHT = 32 };

/* What a test that has nothing to run on returns. */
#define SKIPPED 77

static CUarray whole;
static unsigned int whole_flags;

static bool whole_create(unsigned int flags)
{
	const CUDA_ARRAY3D_DESCRIPTOR descriptor = {
		.Width = WIDTH, .Height = HEIGHT, .Format = CU_AD_FORMAT_NV12, .NumChannels = 3, .Flags = flags};
	const CUresult result = cuArray3DCreate_v2(&whole, &descriptor);

	printf("result planar.create %#x %d\n", flags, result);
	whole_flags = flags;
	return result == CUDA_SUCCESS;
}

/* Which of its arrays a device can have planes of the manual does not say. */
static bool whole_create_somehow(void)
{
	static const unsigned int flags[] = {0, CUDA_ARRAY3D_VIDEO_ENCODE_DECODE, CUDA_ARRAY3D_SURFACE_LDST,
					     CUDA_ARRAY3D_COLOR_ATTACHMENT};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (whole_create(flags[i]))
			return true;
	}
	return false;
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
	copy = array_copy_of(planes[0], luma, WIDTH, HEIGHT, true);
	WORKS(cuMemcpy2D_v2(&copy));
	copy = array_copy_of(planes[1], chroma, WIDTH, HEIGHT / 2, true);
	WORKS(cuMemcpy2D_v2(&copy));
	copy = array_copy_of(planes[0], found, WIDTH, HEIGHT, false);
	WORKS(cuMemcpy2D_v2(&copy));
	assert_memory_equal(found, luma, sizeof(luma));
	copy = array_copy_of(planes[1], found, WIDTH, HEIGHT / 2, false);
	WORKS(cuMemcpy2D_v2(&copy));
	assert_memory_equal(found, chroma, sizeof(chroma));
	/* Beyond the plane. */
	copy = array_copy_of(planes[1], found, WIDTH, HEIGHT, false);
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
	descriptor.Flags = whole_flags;
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
	CUcontext context;

	if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context))
		return 1;
	if (!whole_create_somehow())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, teardown);
}
