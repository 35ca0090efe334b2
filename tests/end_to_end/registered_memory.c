/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the program's own that it registers, with any libcuda.so.1. Run by test_memory.py; with the argument
 * "quota" as a tenant with 4 MiB of pinned memory, with "loss" its executor is killed meanwhile, with "machine" in a
 * virtual machine, whose channel has an area of 60 MiB.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "registered_heap.h"

static size_t large = (size_t)200 << 20;

/* Among blocks of malloc of each size. */
static void test_both_sides(void **state)
{
	static const size_t sizes[] = {BYTES, 16384, PAGE};

	(void)state;
	/* A sanitizer puts small blocks where the executor's lie, which is sanitized too. */
	for (size_t i = 0; i < (getenv("VGPU_SANITIZED") ? 1 : sizeof(sizes) / sizeof(sizes[0])); i++) {
		uint8_t *before = malloc(1000);
		uint32_t *words = block_make(sizes[i]);
		uint8_t *behind = malloc(1000);
		uint32_t count = (uint32_t)(sizes[i] / 4);

		assert_true(before && words && behind);
		bytes_set(before, 1000, 1);
		bytes_set(behind, 1000, 2);
		for (uint32_t word = 0; word < count; word++)
			words[word] = word;
		WORKS(cuMemHostRegister_v2(words, sizes[i], CU_MEMHOSTREGISTER_DEVICEMAP));
		for (uint32_t turn = 0; turn < 3; turn++) {
			for (uint32_t word = 0; word < count; word++)
				assert_int_equal(words[word], word + 2 * turn);
			kernel_run(device_pointer(words), count);
			for (uint32_t word = 0; word < count; word++)
				words[word]++;
		}
		bytes_expect(before, 1000, 1);
		bytes_expect(behind, 1000, 2);
		before[0] = behind[0] = 9;
		WORKS(cuMemHostUnregister(words));
		assert_true(before[0] == 9 && behind[0] == 9);
		for (uint32_t word = 0; word < count; word++)
			assert_int_equal(words[word], word + 6);
		/* It can be given to realloc again, and be freed. */
		words = realloc(words, 3 * sizes[i]);
		assert_non_null(words);
		memset((uint8_t *)words + sizes[i], 1, 2 * sizes[i]);
		assert_int_equal(words[count - 1], count - 1 + 6);
		free(before);
		free(words);
		free(behind);
	}
}

static uint32_t variables[WORDS] = {1, 2, 3};
static uint32_t zeros[WORDS];

static void test_variables(void **state)
{
	(void)state;
	for (uint32_t turn = 0; turn < 2; turn++) {
		WORKS(cuMemHostRegister_v2(variables, BYTES, 0));
		WORKS(cuMemHostRegister_v2(zeros + PAGE, PAGE, 0));
		kernel_run(device_pointer(variables), WORDS);
		kernel_run(device_pointer(zeros + PAGE), PAGE / 4);
		WORKS(cuMemHostUnregister(zeros + PAGE));
		WORKS(cuMemHostUnregister(variables));
		assert_int_equal(variables[0], 2 + turn);
		assert_int_equal(variables[WORDS - 1], 1 + turn);
		assert_int_equal(zeros[PAGE - 1], 0);
		assert_int_equal(zeros[PAGE], 1 + turn);
	}
}

static void test_copies(void **state)
{
	uint32_t *words = malloc(BYTES + 64);
	uint32_t *back = malloc(BYTES + 64);
	CUdeviceptr device;
	CUstream stream;

	(void)state;
	assert_true(words && back);
	WORKS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	WORKS(cuMemAlloc_v2(&device, BYTES));
	words_set(words + 1, 5);
	WORKS(cuMemHostRegister_v2(words + 1, BYTES, 0));
	WORKS(cuMemHostRegister_v2(back + 3, BYTES, CU_MEMHOSTREGISTER_PORTABLE));
	for (uint32_t turn = 0; turn < 4; turn++) {
		words_set(words + 1, turn);
		WORKS(cuMemcpyHtoDAsync_v2(device, words + 1, BYTES, stream));
		WORKS(cuMemcpyDtoHAsync_v2(back + 3, device, BYTES, stream));
		WORKS(cuStreamSynchronize(stream));
		words_expect(back + 3, turn);
		words_set(words + 1, turn + 100);
		WORKS(cuMemcpyHtoD_v2(device, words + 1, BYTES));
		WORKS(cuMemcpyDtoH_v2(back + 3, device, BYTES));
		words_expect(back + 3, turn + 100);
	}
	WORKS(cuMemHostUnregister(words + 1));
	/* The other one is as it was. */
	WORKS(cuMemcpyHtoD_v2(device, words + 1, BYTES));
	WORKS(cuMemcpyDtoHAsync_v2(back + 3, device, BYTES, stream));
	WORKS(cuStreamSynchronize(stream));
	words_expect(back + 3, 103);
	WORKS(cuMemHostUnregister(back + 3));
	words_expect(back + 3, 103);
	WORKS(cuMemFree_v2(device));
	WORKS(cuStreamDestroy_v2(stream));
	free(words);
	free(back);
}

/* More than is moved at a time. */
static void test_large(void **state)
{
	uint8_t *bytes = mmap(NULL, large, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec times[3];

	(void)state;
	assert_true(bytes != MAP_FAILED);
	bytes_set(bytes, large, 3);
	clock_gettime(CLOCK_MONOTONIC, &times[0]);
	WORKS(cuMemHostRegister_v2(bytes, large, 0));
	clock_gettime(CLOCK_MONOTONIC, &times[1]);
	bytes_expect(bytes, large, 3);
	bytes_set(bytes + large - BYTES, BYTES, 0);
	for (uint32_t i = 0; i < WORDS; i++)
		((uint32_t *)(void *)(bytes + large - BYTES))[i] = i;
	kernel_run(device_pointer(bytes + large - BYTES), WORDS);
	for (uint32_t i = 0; i < WORDS; i++)
		assert_int_equal(((uint32_t *)(void *)(bytes + large - BYTES))[i], i + 1);
	clock_gettime(CLOCK_MONOTONIC, &times[2]);
	WORKS(cuMemHostUnregister(bytes));
	bytes_expect(bytes, large - BYTES, 3);
	print_message("# 200 MiB were registered in %ld ms\n",
		      (times[1].tv_sec - times[0].tv_sec) * 1000 + (times[1].tv_nsec - times[0].tv_nsec) / 1000000);
	munmap(bytes, large);
}

/* Unmapped although it is registered: what lies there afterwards stays as it is. */
static void test_forgotten(void **state)
{
	uint8_t *pages = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t child;
	int status = -1;

	(void)state;
	assert_true(pages != MAP_FAILED);
	bytes_set(pages, BYTES, 1);
	WORKS(cuMemHostRegister_v2(pages, BYTES, 0));
	munmap(pages, BYTES);
	child = fork();
	if (child == 0)
		_exit(0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_ptr_equal(mmap(pages, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 pages);
	bytes_set(pages, BYTES, 2);
	(void)cuMemHostUnregister(pages);
	bytes_expect(pages, BYTES, 2);
	/* And can be registered again. */
	WORKS(cuMemHostRegister_v2(pages, BYTES, 0));
	bytes_expect(pages, BYTES, 2);
	WORKS(cuMemHostUnregister(pages));
	munmap(pages, BYTES);
}

/* Memory of other kinds can be registered and copied; whether the device sees it is the driver's to say. */
static void test_kinds(void **state)
{
	int file = memfd_create("shared", MFD_CLOEXEC);
	uint8_t *shared, *twice, *mixed;
	uint8_t on_stack[2 * PAGE];

	(void)state;
	assert_int_equal(ftruncate(file, BYTES), 0);
	shared = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	twice = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, file, 0);
	assert_true(shared != MAP_FAILED && twice != MAP_FAILED);
	bytes_set(shared, BYTES, 4);
	WORKS(cuMemHostRegister_v2(shared, BYTES, 0));
	copies_work(shared, BYTES);
	/* It is still shared with whom it was. */
	shared[0]++;
	assert_int_equal(twice[0], shared[0]);
	WORKS(cuMemHostUnregister(shared));
	shared[0]++;
	assert_int_equal(twice[0], shared[0]);
	bytes_set(on_stack, sizeof(on_stack), 4);
	if (cuMemHostRegister_v2(on_stack, sizeof(on_stack), 0) == CUDA_SUCCESS) {
		copies_work(on_stack, sizeof(on_stack));
		WORKS(cuMemHostUnregister(on_stack));
	}
	/* Half of it with a file, half without. */
	mixed = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(mixed != MAP_FAILED);
	assert_true(mmap(mixed + BYTES / 2, BYTES / 2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) !=
		    MAP_FAILED);
	bytes_set(mixed, BYTES, 4);
	if (cuMemHostRegister_v2(mixed, BYTES, 0) == CUDA_SUCCESS) {
		copies_work(mixed, BYTES);
		WORKS(cuMemHostUnregister(mixed));
	}
	bytes_expect(mixed, BYTES, 4);
	munmap(mixed, BYTES);
	munmap(shared, BYTES);
	munmap(twice, BYTES);
	close(file);
}

/* Two ranges in one page, if that may be, and the last one to go leaves all as it was. */
static void test_neighbours(void **state)
{
	uint8_t *page = aligned_alloc(PAGE, 2 * PAGE);
	CUresult second;

	(void)state;
	assert_non_null(page);
	bytes_set(page, 2 * PAGE, 4);
	WORKS(cuMemHostRegister_v2(page, 1024, 0));
	second = cuMemHostRegister_v2(page + 1024, 4096, 0);
	copies_work(page, 1024);
	WORKS(cuMemHostUnregister(page));
	assert_int_equal(cuMemHostUnregister(page + 1024),
			 second ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED : CUDA_SUCCESS);
	bytes_expect(page, 2 * PAGE, 4);
	free(page);
}

static void test_context_ends(void **state)
{
	uint32_t *words = block_make(BYTES);
	CUcontext other;

	(void)state;
	assert_non_null(words);
	words_set(words, 8);
	WORKS(cuCtxCreate_v2(&other, 0, 0));
	WORKS(cuMemHostRegister_v2(words, BYTES, 0));
	WORKS(cuCtxDestroy_v2(other));
	words_expect(words, 8);
	WORKS(cuCtxSetCurrent(context));
	assert_int_equal(cuMemHostUnregister(words), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	WORKS(cuMemHostRegister_v2(words, BYTES, 0));
	(void)device_pointer(words);
	WORKS(cuMemHostUnregister(words));
	words_expect(words, 8);
	free(words);
}

static void test_pointer(void **state)
{
	uint8_t *bytes = aligned_alloc(PAGE, BYTES);
	unsigned int type = 0, mapped = 0;
	CUdeviceptr device = 0;

	(void)state;
	assert_non_null(bytes);
	WORKS(cuMemHostRegister_v2(bytes, BYTES, 0));
	WORKS(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (uintptr_t)bytes + 5));
	assert_int_equal(type, CU_MEMORYTYPE_HOST);
	WORKS(cuPointerGetAttribute(&device, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, (uintptr_t)bytes + 5));
	assert_int_equal(device, device_pointer(bytes) + 5);
	WORKS(cuPointerGetAttribute(&mapped, CU_POINTER_ATTRIBUTE_MAPPED, (uintptr_t)bytes));
	assert_int_equal(mapped & 0xff, 1);
	WORKS(cuMemHostUnregister(bytes));
	assert_int_equal(cuMemHostGetDevicePointer_v2(&device, bytes, 0), CUDA_ERROR_INVALID_VALUE);
	free(bytes);
}

static void test_refusals(void **state)
{
	uint8_t *bytes = aligned_alloc(PAGE, 4 * PAGE);

	(void)state;
	assert_non_null(bytes);
	assert_int_equal(cuMemHostRegister_v2(NULL, PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemHostRegister_v2(bytes, 0, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemHostRegister_v2(bytes, PAGE, 0x100), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemHostUnregister(bytes), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	WORKS(cuMemHostRegister_v2(bytes, 2 * PAGE, 0));
	assert_int_equal(cuMemHostRegister_v2(bytes, 2 * PAGE, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	assert_int_equal(cuMemHostRegister_v2(bytes + PAGE, 2 * PAGE, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	WORKS(cuMemHostUnregister(bytes));
	assert_int_equal(cuMemHostUnregister(bytes), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	free(bytes);
}

static void test_quota(void **state)
{
	uint8_t *bytes = aligned_alloc(PAGE, 8u << 20);
	void *pinned;

	(void)state;
	assert_non_null(bytes);
	bytes_set(bytes, 8u << 20, 1);
	for (int turn = 0; turn < 3; turn++) {
		assert_int_equal(cuMemHostRegister_v2(bytes, 8u << 20, 0), CUDA_ERROR_OUT_OF_MEMORY);
		WORKS(cuMemHostRegister_v2(bytes, 3u << 20, 0));
		assert_int_equal(cuMemHostAlloc(&pinned, 2u << 20, 0), CUDA_ERROR_OUT_OF_MEMORY);
		WORKS(cuMemHostUnregister(bytes));
		WORKS(cuMemHostAlloc(&pinned, 2u << 20, 0));
		WORKS(cuMemFreeHost(pinned));
	}
	bytes_expect(bytes, 8u << 20, 1);
	free(bytes);
}

/* More than the channel's area has is only noted. */
static void test_beyond_area(void **state)
{
	size_t count = (size_t)64 << 20;
	uint8_t *bytes = mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *few = block_make(BYTES);
	CUdeviceptr device;

	(void)state;
	assert_true(bytes != MAP_FAILED && few);
	bytes_set(bytes, count, 4);
	WORKS(cuMemHostRegister_v2(bytes, count, 0));
	assert_int_not_equal(cuMemHostGetDevicePointer_v2(&device, bytes, 0), CUDA_SUCCESS);
	copies_work(bytes, BYTES);
	/* It has kept nothing of the area. */
	for (int i = 0; i < 100; i++) {
		WORKS(cuMemHostRegister_v2(few, BYTES, 0));
		(void)device_pointer(few);
		WORKS(cuMemHostUnregister(few));
	}
	WORKS(cuMemHostUnregister(bytes));
	munmap(bytes, count);
	free(few);
}

/* What was unmapped before it was unregistered has kept nothing of the area either; what was moved instead has. */
static void test_unmapped_in_area(void **state)
{
	const size_t count = (size_t)20 << 20;
	uint8_t *elsewhere = NULL;
	void *pinned;

	(void)state;
	for (int i = 0; i < 8; i++) {
		uint8_t *bytes = mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		assert_true(bytes != MAP_FAILED);
		WORKS(cuMemHostRegister_v2(bytes, count, 0));
		(void)device_pointer(bytes);
		if (i == 4) {
			bytes_set(bytes, count, 6);
			elsewhere = mremap(bytes, count, count, MREMAP_MAYMOVE | MREMAP_FIXED,
					   mmap(NULL, count, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
			assert_true(elsewhere != MAP_FAILED);
		} else {
			munmap(bytes, count);
		}
		(void)cuMemHostUnregister(bytes);
	}
	WORKS(cuMemAllocHost_v2(&pinned, count));
	memset(pinned, 0, count);
	bytes_expect(elsewhere, count, 6);
	WORKS(cuMemFreeHost(pinned));
	munmap(elsewhere, count);
}

/* The test kills the executor once it is told so, and then says something. */
static void test_loss(void **state)
{
	uint8_t *bytes = block_make(BYTES);

	(void)state;
	assert_non_null(bytes);
	bytes_set(bytes, BYTES, 1);
	WORKS(cuMemHostRegister_v2(bytes, BYTES, 0));
	(void)device_pointer(bytes);
	puts("registered");
	fflush(stdout);
	assert_int_not_equal(getchar(), EOF);
	bytes_expect(bytes, BYTES, 1);
	bytes_set(bytes, BYTES, 2);
	assert_int_not_equal(cuMemHostUnregister(bytes), CUDA_SUCCESS);
	bytes_expect(bytes, BYTES, 2);
	free(bytes);
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_sides),   cmocka_unit_test(test_variables),
		cmocka_unit_test(test_copies),	     cmocka_unit_test(test_large),
		cmocka_unit_test(test_forgotten),    cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_neighbours),   cmocka_unit_test(test_heap),
		cmocka_unit_test(test_context_ends), cmocka_unit_test(test_pointer),
		cmocka_unit_test(test_refusals),
	};
	const struct CMUnitTest machine[] = {cmocka_unit_test(test_beyond_area),
					     cmocka_unit_test(test_unmapped_in_area)};
	const struct CMUnitTest quota[] = {cmocka_unit_test(test_quota)};
	const struct CMUnitTest loss[] = {cmocka_unit_test(test_loss)};

	if (count > 1 && strcmp(arguments[1], "quota") == 0)
		return cmocka_run_group_tests(quota, setup, NULL);
	if (count > 1 && strcmp(arguments[1], "loss") == 0)
		return cmocka_run_group_tests(loss, setup, NULL);
	if (count > 1 && strcmp(arguments[1], "machine") == 0) {
		large = (size_t)20 << 20;
		if (cmocka_run_group_tests(machine, setup, NULL))
			return 1;
	}
	return cmocka_run_group_tests(tests, setup, NULL);
}
