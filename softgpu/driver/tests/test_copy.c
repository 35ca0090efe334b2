/* SPDX-License-Identifier: Apache-2.0 */
/* Copies and fills: every direction, shapes, and ranges that do not fit. */
#include "common.h"

#define BYTES ((size_t)3000)

static void pattern_fill(unsigned char *bytes, size_t count, unsigned seed)
{
	for (size_t index = 0; index < count; index++)
		bytes[index] = (unsigned char)(index * 7 + seed);
}

static void bytes_make_the_round(void **state)
{
	unsigned char sent[BYTES], received[BYTES];
	CUdeviceptr first, second;

	(void)state;
	pattern_fill(sent, BYTES, 3);
	memset(received, 0, BYTES);
	assert_ok(cuMemAlloc_v2(&first, BYTES));
	assert_ok(cuMemAlloc_v2(&second, BYTES));
	assert_ok(cuMemcpyHtoD_v2(first, sent, BYTES));
	assert_ok(cuMemcpyDtoD_v2(second, first, BYTES));
	assert_ok(cuMemcpyDtoH_v2(received, second, BYTES));
	assert_memory_equal(sent, received, BYTES);
	/* Untyped pointers: the addresses tell. */
	memset(received, 0, BYTES);
	pattern_fill(sent, BYTES, 5);
	assert_ok(cuMemcpy(first, (CUdeviceptr)(uintptr_t)sent, BYTES));
	assert_ok(cuMemcpy((CUdeviceptr)(uintptr_t)received, first, BYTES));
	assert_memory_equal(sent, received, BYTES);
}

static void ranges_are_checked(void **state)
{
	unsigned char host[BYTES];
	CUdeviceptr address;

	(void)state;
	memset(host, 0, BYTES);
	assert_ok(cuMemAlloc_v2(&address, 1000));
	assert_result(cuMemcpyHtoD_v2(address, host, 1001), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemcpyDtoH_v2(host, address + 1, 1000), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemcpyHtoD_v2(address - 1, host, 10), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemcpyHtoD_v2(0, host, 10), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemcpyHtoD_v2(address, NULL, 10), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemcpyHtoD_v2((CUdeviceptr)(uintptr_t)host, host, 10), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemcpyHtoD_v2(address, host, SIZE_MAX), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemcpyDtoD_v2(address, address, SIZE_MAX - 100), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuMemcpyHtoD_v2(address, host, 0));
	assert_ok(cuCtxSynchronize()); /* refused copies leave the context as it was */
}

static void fills_have_three_widths(void **state)
{
	unsigned char host[64];
	CUdeviceptr address;

	(void)state;
	assert_ok(cuMemAlloc_v2(&address, 64));
	assert_ok(cuMemsetD8_v2(address, 0x11, 64));
	assert_ok(cuMemsetD16_v2(address + 2, 0x2233, 3));
	assert_ok(cuMemsetD32_v2(address + 16, 0x44556677, 2));
	assert_ok(cuMemsetD2D8_v2(address + 32, 8, 0x99, 3, 2));
	assert_ok(cuMemcpyDtoH_v2(host, address, 64));
	for (int index = 0; index < 64; index++) {
		unsigned expected = 0x11;

		if (index >= 2 && index < 8)
			expected = index % 2 ? 0x22 : 0x33;
		else if (index >= 16 && index < 24)
			expected = (unsigned[]){0x77, 0x66, 0x55, 0x44}[index % 4];
		else if (index >= 32 && index < 48 && index % 8 < 3)
			expected = 0x99;
		assert_int_equal(host[index], expected);
	}
	assert_result(cuMemsetD16_v2(address + 1, 0, 1), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemsetD32_v2(address + 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemsetD8_v2(address, 0, 65), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemsetD32_v2(address, 0, (size_t)1 << 62), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemsetD2D8_v2(address, 2, 0, 3, 2), CUDA_ERROR_INVALID_VALUE);
}

static void rectangles_are_copied(void **state)
{
	unsigned char sent[10 * 16], received[10 * 16];
	CUDA_MEMCPY2D copy = {
		.srcXInBytes = 2,
		.srcY = 1,
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = sent,
		.srcPitch = 16,
		.dstXInBytes = 4,
		.dstY = 2,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.WidthInBytes = 9,
		.Height = 7,
	};
	CUdeviceptr address;
	size_t pitch;

	(void)state;
	pattern_fill(sent, sizeof(sent), 1);
	memset(received, 0, sizeof(received));
	assert_ok(cuMemAllocPitch_v2(&address, &pitch, 16, 10, 4));
	assert_true(pitch >= 16 && pitch % 512 == 0);
	copy.dstDevice = address;
	copy.dstPitch = pitch;
	assert_ok(cuMemcpy2D_v2(&copy));
	copy = (CUDA_MEMCPY2D){
		.srcXInBytes = 4,
		.srcY = 2,
		.srcMemoryType = CU_MEMORYTYPE_UNIFIED,
		.srcDevice = address,
		.srcPitch = pitch,
		.dstMemoryType = CU_MEMORYTYPE_HOST,
		.dstHost = received,
		.dstPitch = 16,
		.WidthInBytes = 9,
		.Height = 7,
	};
	assert_ok(cuMemcpy2D_v2(&copy));
	for (int row = 0; row < 7; row++)
		assert_memory_equal(received + row * 16, sent + (row + 1) * 16 + 2, 9);
	assert_int_equal(received[9], 0);
	copy.Height = 9; /* two rows too many for the allocation */
	copy.srcY = 2;
	assert_result(cuMemcpy2D_v2(&copy), CUDA_ERROR_INVALID_VALUE);
	copy.Height = SIZE_MAX / 2;
	assert_result(cuMemcpy2D_v2(&copy), CUDA_ERROR_INVALID_VALUE);
	copy.Height = 7;
	copy.srcPitch = 5;
	assert_result(cuMemcpy2D_v2(&copy), CUDA_ERROR_INVALID_VALUE);
	copy.srcPitch = pitch;
	copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
	assert_result(cuMemcpy2D_v2(&copy), CUDA_ERROR_INVALID_HANDLE);
}

static void boxes_are_copied(void **state)
{
	unsigned char sent[4 * 5 * 6], received[4 * 5 * 6];
	CUDA_MEMCPY3D copy = {
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = sent,
		.srcPitch = 6,
		.srcHeight = 5,
		.srcXInBytes = 1,
		.srcY = 1,
		.srcZ = 1,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstPitch = 16,
		.dstHeight = 8,
		.WidthInBytes = 4,
		.Height = 3,
		.Depth = 2,
	};
	CUdeviceptr address;

	(void)state;
	pattern_fill(sent, sizeof(sent), 9);
	memset(received, 0, sizeof(received));
	assert_ok(cuMemAlloc_v2(&address, 16 * 8 * 2));
	copy.dstDevice = address;
	assert_ok(cuMemcpy3D_v2(&copy));
	copy = (CUDA_MEMCPY3D){
		.srcMemoryType = CU_MEMORYTYPE_DEVICE,
		.srcDevice = address,
		.srcPitch = 16,
		.srcHeight = 8,
		.dstMemoryType = CU_MEMORYTYPE_HOST,
		.dstHost = received,
		.dstPitch = 6,
		.dstHeight = 5,
		.WidthInBytes = 4,
		.Height = 3,
		.Depth = 2,
	};
	assert_ok(cuMemcpy3D_v2(&copy));
	for (int slice = 0; slice < 2; slice++)
		for (int row = 0; row < 3; row++)
			assert_memory_equal(received + (slice * 5 + row) * 6,
					    sent + ((slice + 1) * 5 + row + 1) * 6 + 1, 4);
	copy.Depth = 3;
	copy.srcHeight = 16;
	assert_result(cuMemcpy3D_v2(&copy), CUDA_ERROR_INVALID_VALUE);
}

/* Memory that another stream frees before the copy's turn comes is an illegal address, not a crash. */
static void copy_from_freed_memory_is_a_fault(void **state)
{
	CUdeviceptr address, other;
	CUfunction function;
	CUstream first, second;
	CUcontext context;
	CUmodule module;

	(void)state;
	assert_ok(cuCtxCreate_v2(&context, 0, 0));
	function = kernel_load(&module, "spin");
	assert_ok(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
	assert_ok(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
	assert_ok(cuMemAllocAsync(&address, 4096, first));
	assert_ok(cuMemAlloc_v2(&other, 4096));
	spin(function, second, 50000000);
	assert_ok(cuMemsetD32Async(address, 1, 1024, second));
	assert_ok(cuMemFreeAsync(address, first));
	assert_ok(cuStreamSynchronize(first));
	assert_result(cuStreamSynchronize(second), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_ok(cuCtxDestroy_v2(context));
	assert_ok(cuCtxSynchronize());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_make_the_round),  TEST(ranges_are_checked), TEST(fills_have_three_widths),
		TEST(rectangles_are_copied), TEST(boxes_are_copied),   TEST(copy_from_freed_memory_is_a_fault),
	};

	alarm(60);
	return cmocka_run_group_tests_name("softgpu copies", tests, NULL, NULL);
}
