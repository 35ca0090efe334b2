/* SPDX-License-Identifier: Apache-2.0 */
/* Device memory, pinned memory, pools and pointer attributes.  Runs with 64 MiB of device memory. */
#include "common.h"

#include <sys/mman.h>

#define MEMORY_BYTES ((size_t)64 << 20)

static void memory_size_is_configured(void **state)
{
	size_t bytes, available, total;

	(void)state;
	assert_ok(cuDeviceTotalMem_v2(&bytes, 0));
	assert_int_equal(bytes, MEMORY_BYTES);
	assert_ok(cuMemGetInfo_v2(&available, &total));
	assert_int_equal(total, MEMORY_BYTES);
	assert_true(available <= total);
}

static void allocation_is_placed_and_counted(void **state)
{
	size_t before, after, total, bytes;
	CUdeviceptr address, base;

	(void)state;
	assert_ok(cuMemGetInfo_v2(&before, &total));
	assert_ok(cuMemAlloc_v2(&address, 1000));
	assert_int_equal(address % 256, 0);
	assert_true(address >= 0x2aaaab000000u && address < 0x300000000000u);
	assert_ok(cuMemGetInfo_v2(&after, &total));
	assert_int_equal(before - after, 4096);
	assert_ok(cuMemGetAddressRange_v2(&base, &bytes, address + 999));
	assert_int_equal(base, address);
	assert_int_equal(bytes, 1000);
	assert_result(cuMemGetAddressRange_v2(&base, &bytes, address + 1000), CUDA_ERROR_NOT_FOUND);
	assert_ok(cuMemFree_v2(address));
	assert_ok(cuMemGetInfo_v2(&after, &total));
	assert_int_equal(before, after);
	assert_result(cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuMemFree_v2(0));
}

static void bad_sizes_are_refused(void **state)
{
	CUdeviceptr address = 5;
	size_t pitch;

	(void)state;
	assert_result(cuMemAlloc_v2(&address, 0), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemAlloc_v2(NULL, 16), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemAlloc_v2(&address, MEMORY_BYTES + 1), CUDA_ERROR_OUT_OF_MEMORY);
	assert_result(cuMemAlloc_v2(&address, SIZE_MAX), CUDA_ERROR_OUT_OF_MEMORY);
	assert_result(cuMemAllocPitch_v2(&address, &pitch, SIZE_MAX, 2, 4), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemAllocPitch_v2(&address, &pitch, 4, 4, 3), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(address, 5);
}

static void memory_runs_out_and_comes_back(void **state)
{
	CUdeviceptr blocks[128];
	size_t count = 0;
	CUdeviceptr again;

	(void)state;
	while (count < 128 && !cuMemAlloc_v2(&blocks[count], 1 << 20))
		count++;
	assert_true(count > 32 && count <= 64);
	assert_result(cuMemAlloc_v2(&again, 1 << 20), CUDA_ERROR_OUT_OF_MEMORY);
	for (size_t index = 0; index < count; index++)
		for (size_t other = index + 1; other < count; other++)
			assert_true(blocks[index] + (1 << 20) <= blocks[other] ||
				    blocks[other] + (1 << 20) <= blocks[index]);
	for (size_t index = 0; index < count; index++)
		assert_ok(cuMemFree_v2(blocks[index]));
	assert_ok(cuMemAlloc_v2(&again, (size_t)32 << 20));
	assert_ok(cuMemFree_v2(again));
}

static void many_small_blocks_leave_the_process_alive(void **state)
{
	const size_t wanted = 16000; /* 64 MiB of pages hold no more */
	CUdeviceptr *blocks = calloc(wanted, sizeof(*blocks));
	size_t count = 0;
	CUstream stream;

	(void)state;
	assert_non_null(blocks);
	for (int turn = 0; turn < 2; turn++) {
		for (count = 0; count < wanted && !cuMemAlloc_v2(&blocks[count], 1); count++)
			assert_true(count == 0 || blocks[count] != blocks[count - 1]);
		assert_true(count > 10000);
		assert_ok(cuStreamCreate(&stream, 0));
		assert_ok(cuMemsetD8_v2(blocks[count - 1], 1, 1));
		assert_ok(cuStreamSynchronize(stream));
		/* Every third first, so that what is free is scattered. */
		for (size_t start = 0; start < 3; start++)
			for (size_t index = start; index < count; index += 3)
				assert_ok(cuMemFree_v2(blocks[index]));
	}
	free(blocks);
}

static void freed_memory_is_scrubbed(void **state)
{
	const size_t bytes = (size_t)40 << 20; /* so large that the same pages must come back */
	unsigned char *host = malloc(bytes);
	CUdeviceptr address;

	(void)state;
	assert_non_null(host);
	assert_ok(cuMemAlloc_v2(&address, bytes));
	assert_ok(cuMemsetD8_v2(address, 0xA5, bytes));
	assert_ok(cuMemcpyDtoH_v2(host, address, bytes));
	assert_int_equal(host[0], 0xA5);
	assert_int_equal(host[bytes - 1], 0xA5);
	assert_ok(cuMemFree_v2(address));
	for (int turn = 0; turn < 8; turn++) {
		assert_ok(cuMemAlloc_v2(&address, bytes));
		assert_ok(cuMemcpyDtoH_v2(host, address, bytes));
		for (size_t index = 0; index < bytes; index++)
			if (host[index])
				fail_msg("byte %zu of fresh memory is 0x%x", index, host[index]);
		assert_ok(cuMemsetD8_v2(address, 0xA5, bytes));
		assert_ok(cuMemFree_v2(address));
	}
	free(host);
}

static void context_end_frees_its_memory(void **state)
{
	size_t before, after, total;
	CUdeviceptr address;
	CUcontext context;
	void *pinned;

	(void)state;
	assert_ok(cuMemGetInfo_v2(&before, &total));
	assert_ok(cuCtxCreate_v2(&context, 0, 0));
	assert_ok(cuMemAlloc_v2(&address, 1 << 20));
	assert_ok(cuMemAllocHost_v2(&pinned, 4096));
	assert_ok(cuCtxDestroy_v2(context));
	assert_ok(cuMemGetInfo_v2(&after, &total));
	assert_int_equal(before, after);
	assert_result(cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemFreeHost(pinned), CUDA_ERROR_INVALID_VALUE);
}

static void managed_memory_is_one_for_both_sides(void **state)
{
	CUdeviceptr address;
	uint32_t value;

	(void)state;
	assert_result(cuMemAllocManaged(&address, 4096, 0), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuMemAllocManaged(&address, 4096, CU_MEM_ATTACH_GLOBAL));
	*(uint32_t *)address = 0x12345678;
	assert_ok(cuMemcpyDtoH_v2(&value, address, 4));
	assert_int_equal(value, 0x12345678);
	assert_ok(cuMemsetD32_v2(address, 0xabcd, 1024));
	assert_ok(cuCtxSynchronize());
	assert_int_equal(((uint32_t *)address)[1023], 0xabcd);
	assert_ok(cuMemFree_v2(address));
}

static void managed_memory_takes_advice(void **state)
{
	const CUmemLocation device = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0};
	const CUmemLocation missing = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1};
	CUdeviceptr managed, plain;
	int value = 9;

	(void)state;
	assert_ok(cuMemAllocManaged(&managed, 8192, CU_MEM_ATTACH_GLOBAL));
	assert_ok(cuMemAlloc_v2(&plain, 8192));
	assert_ok(cuMemPrefetchAsync_v2(managed, 8192, device, 0, NULL));
	assert_result(cuMemPrefetchAsync_v2(managed, 8192, missing, 0, NULL), CUDA_ERROR_INVALID_DEVICE);
	assert_result(cuMemPrefetchAsync_v2(managed, 8193, device, 0, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemPrefetchAsync_v2(plain, 8192, device, 0, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuMemAdvise_v2(managed, 4096, CU_MEM_ADVISE_SET_READ_MOSTLY, device));
	assert_result(cuMemAdvise_v2(managed, 4096, (CUmem_advise)99, device), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuMemRangeGetAttribute(&value, 4, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, managed, 8192));
	assert_int_equal(value, 0);
	assert_result(cuMemRangeGetAttribute(&value, 8, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, managed, 8192),
		      CUDA_ERROR_INVALID_VALUE);
}

static void pending_frees_make_room(void **state)
{
	CUdeviceptr first, second;
	CUfunction function;
	CUmodule module;

	(void)state;
	function = kernel_load(&module, "spin");
	assert_ok(cuMemAllocAsync(&first, (size_t)40 << 20, NULL));
	spin(function, NULL, 20000000);
	assert_ok(cuMemFreeAsync(first, NULL));
	assert_ok(cuMemAlloc_v2(&second, (size_t)40 << 20));
	assert_ok(cuMemFree_v2(second));
}

static void host_memory_is_registered_once(void **state)
{
	unsigned char *pages = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CUdeviceptr device;

	(void)state;
	assert_true(pages != MAP_FAILED);
	assert_ok(cuMemHostRegister_v2(pages, 8192, 0));
	assert_result(cuMemHostRegister_v2(pages + 4096, 8192, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	assert_ok(cuMemHostGetDevicePointer_v2(&device, pages + 100, 0));
	assert_int_equal(device, (uint64_t)(uintptr_t)(pages + 100));
	assert_result(cuMemHostGetDevicePointer_v2(&device, pages + 8192, 0), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuMemHostUnregister(pages + 4096), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	assert_ok(cuMemHostUnregister(pages));
	assert_result(cuMemHostUnregister(pages), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	assert_int_equal(munmap(pages, 16384), 0);
	assert_result(cuMemHostRegister_v2(pages, 8192, 0), CUDA_ERROR_INVALID_VALUE);
}

static void host_allocation_has_flags(void **state)
{
	unsigned flags = 0;
	void *pointer;

	(void)state;
	assert_result(cuMemHostAlloc(&pointer, 100, 0x80), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuMemHostAlloc(&pointer, 100, CU_MEMHOSTALLOC_PORTABLE));
	assert_ok(cuMemHostGetFlags(&flags, pointer));
	assert_int_equal(flags, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
	assert_ok(cuMemFreeHost(pointer));
	assert_result(cuMemFreeHost(pointer), CUDA_ERROR_INVALID_VALUE);
}

static void pointers_are_told_apart(void **state)
{
	CUpointer_attribute names[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
				       CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
	unsigned type = 99, managed = 99;
	int ordinal = 99, on_stack = 0;
	void *values[] = {&type, &managed, &ordinal};
	CUdeviceptr device, start;
	CUcontext context;
	void *pinned;

	assert_ok(cuMemAlloc_v2(&device, 100));
	assert_ok(cuMemAllocHost_v2(&pinned, 100));
	assert_ok(cuPointerGetAttributes(3, names, values, device + 50));
	assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
	assert_int_equal(managed, 0);
	assert_int_equal(ordinal, 0);
	assert_ok(cuPointerGetAttributes(3, names, values, (CUdeviceptr)(uintptr_t)pinned));
	assert_int_equal(type, CU_MEMORYTYPE_HOST);
	assert_ok(cuPointerGetAttributes(3, names, values, (CUdeviceptr)(uintptr_t)&on_stack));
	assert_int_equal(type, 0);
	assert_int_equal(ordinal, CU_DEVICE_INVALID);
	assert_result(cuPointerGetAttribute(&type, names[0], (CUdeviceptr)(uintptr_t)&on_stack),
		      CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuPointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, device));
	assert_ptr_equal(context, *state);
	assert_ok(cuPointerGetAttribute(&start, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, device + 7));
	assert_int_equal(start, device);
	assert_result(cuPointerGetAttribute(&pinned, CU_POINTER_ATTRIBUTE_HOST_POINTER, device),
		      CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuMemFree_v2(device));
}

static void pool_counts_and_limits(void **state)
{
	const CUmemPoolProps properties = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
		.maxSize = 1 << 20,
	};
	cuuint64_t used, high;
	CUdeviceptr first, second;
	CUmemoryPool pool;

	(void)state;
	assert_ok(cuMemPoolCreate(&pool, &properties));
	assert_ok(cuMemAllocFromPoolAsync(&first, 1 << 19, pool, NULL));
	assert_result(cuMemAllocFromPoolAsync(&second, (1 << 19) + 1, pool, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	assert_ok(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
	assert_int_equal(used, 1 << 19);
	assert_ok(cuMemFreeAsync(first, NULL));
	assert_ok(cuMemAllocFromPoolAsync(&second, 1 << 20, pool, NULL)); /* once the stream has freed the first */
	assert_ok(cuMemFreeAsync(second, NULL));
	assert_ok(cuStreamSynchronize(NULL));
	assert_ok(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
	assert_ok(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &high));
	assert_int_equal(used, 0);
	assert_int_equal(high, 1 << 20);
	assert_ok(cuMemPoolDestroy(pool));
	assert_result(cuMemPoolDestroy(pool), CUDA_ERROR_INVALID_VALUE);
}

static void default_pool_stays(void **state)
{
	CUmemoryPool pool;
	CUdeviceptr address;

	(void)state;
	assert_ok(cuDeviceGetDefaultMemPool(&pool, 0));
	assert_result(cuMemPoolDestroy(pool), CUDA_ERROR_INVALID_VALUE);
	/* More than the memory in sum: each is freed before the next needs its room. */
	for (int turn = 0; turn < 20; turn++) {
		assert_ok(cuMemAllocAsync(&address, (size_t)20 << 20, NULL));
		assert_ok(cuMemFreeAsync(address, NULL));
	}
	assert_ok(cuStreamSynchronize(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory_size_is_configured),
		TEST(allocation_is_placed_and_counted),
		TEST(bad_sizes_are_refused),
		TEST(memory_runs_out_and_comes_back),
		TEST(many_small_blocks_leave_the_process_alive),
		TEST(freed_memory_is_scrubbed),
		TEST(context_end_frees_its_memory),
		TEST(managed_memory_is_one_for_both_sides),
		TEST(managed_memory_takes_advice),
		TEST(pending_frees_make_room),
		TEST(host_memory_is_registered_once),
		TEST(host_allocation_has_flags),
		TEST(pointers_are_told_apart),
		TEST(pool_counts_and_limits),
		TEST(default_pool_stays),
	};

	if (setenv("SOFTGPU_MEMORY_BYTES", "0x4000000", 1))
		return 1;
	return cmocka_run_group_tests_name("softgpu memory", tests, NULL, NULL);
}
