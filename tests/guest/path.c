/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that uses the guest library over a real channel: mediator, executor,
 * and the strict driver of tests/executor, whose kernel "add" writes the sum of
 * its two numbers to an address.  Run by test_path.py.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cuda_abi.h"
#include "cuda_calls.h"

static const char image[] = ".version 8.0\n.target sm_90\n.address_size 64\n";

static CUcontext context;
static CUmodule module;
static CUfunction add;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int setup(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuModuleLoadData(&module, image) || cuModuleGetFunction(&add, module, "add");
}

static int teardown(void **state)
{
	(void)state;
	return cuModuleUnload(module) != CUDA_SUCCESS || cuDevicePrimaryCtxRelease_v2(0) != CUDA_SUCCESS;
}

static CUresult launch_add(CUdeviceptr to, uint64_t a, uint64_t b, CUstream stream)
{
	void *parameters[] = {&to, &a, &b};

	return cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL);
}

static void test_devices(void **state)
{
	CUdevice device;
	char name[64];
	int count, value;
	size_t bytes;

	(void)state;
	assert_int_equal(cuDeviceGetCount(&count), CUDA_SUCCESS);
	assert_true(count >= 1);
	assert_int_equal(cuDeviceGet(&device, 0), CUDA_SUCCESS);
	assert_int_equal(cuDeviceGet(&device, count), CUDA_ERROR_INVALID_DEVICE);
	assert_int_equal(cuDeviceGetName(name, sizeof(name), 0), CUDA_SUCCESS);
	assert_true(strlen(name) > 0);
	assert_int_equal(cuDeviceTotalMem_v2(&bytes, 0), CUDA_SUCCESS);
	assert_true(bytes > 0);
	assert_int_equal(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, 0), CUDA_SUCCESS);
	assert_int_equal(value, 0);
	assert_int_equal(cuDeviceGetAttribute(&value, (CUdevice_attribute)0, 0), CUDA_ERROR_INVALID_VALUE);
}

static void test_launch(void **state)
{
	CUdeviceptr to;
	uint64_t sum = 0;

	(void)state;
	assert_int_equal(cuMemAlloc_v2(&to, 4096), CUDA_SUCCESS);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(launch_add(to + 8 * (i % 512), i, 2 * i, NULL), CUDA_SUCCESS);
	assert_int_equal(cuMemcpyDtoH_v2(&sum, to + 8 * (999 % 512), sizeof(sum)), CUDA_SUCCESS);
	assert_int_equal(sum, 3 * 999);
	/* Parameters in one buffer. */
	uint64_t packed[] = {to, 20, 22};
	size_t packed_bytes = sizeof(packed);
	void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &packed_bytes,
			 CU_LAUNCH_PARAM_END};

	assert_int_equal(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra), CUDA_SUCCESS);
	assert_int_equal(cuMemcpyDtoH_v2(&sum, to, sizeof(sum)), CUDA_SUCCESS);
	assert_int_equal(sum, 42);
	assert_int_equal(cuMemFree_v2(to), CUDA_SUCCESS);
	assert_int_equal(cuMemFree_v2(to), CUDA_ERROR_INVALID_VALUE);
}

static void test_launch_refused(void **state)
{
	void *parameters[3] = {0};
	int here = 0;

	(void)state;
	assert_int_equal(cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(cuLaunchKernel((CUfunction)&here, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(cuLaunchKernel(add, 0, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, (CUstream)&here, parameters, NULL),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	/* An address that is none: the driver refuses, and the next call that can tell says so. */
	assert_int_equal(launch_add(0xdead0000, 1, 1, NULL), CUDA_SUCCESS);
	assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
}

/* Up and down again through the windows, of all sizes around their limits. */
static void test_copies(void **state)
{
	static const size_t sizes[] = {1,     7,     8,	      8191,    8192,	 8193,	  16384,
				       16385, 65536, 1 << 20, 3000001, 17 << 20, 40000003};
	size_t most = 40000003;
	uint8_t *from = malloc(most), *to = malloc(most);
	CUdeviceptr device;

	(void)state;
	assert_non_null(from);
	assert_non_null(to);
	for (size_t i = 0; i < most; i++)
		from[i] = (uint8_t)(i * 2654435761u >> 13);
	assert_int_equal(cuMemAlloc_v2(&device, most), CUDA_SUCCESS);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(to, 0xee, sizes[i]);
		assert_int_equal(cuMemcpyHtoD_v2(device, from + i, sizes[i] - (i == 12 ? 12 : 0)), CUDA_SUCCESS);
		assert_int_equal(cuMemcpyDtoH_v2(to, device, sizes[i] - (i == 12 ? 12 : 0)), CUDA_SUCCESS);
		assert_memory_equal(to, from + i, sizes[i] - (i == 12 ? 12 : 0));
	}
	assert_int_equal(cuMemcpyHtoD_v2(device, from, most + 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemcpyDtoH_v2(to, device + 1, most), CUDA_ERROR_INVALID_VALUE);
	/* Untyped, both ways. */
	memset(to, 0, 4096);
	assert_int_equal(cuMemcpy(device, (uintptr_t)(from + 5), 4096), CUDA_SUCCESS);
	assert_int_equal(cuMemcpy((uintptr_t)to, device, 4096), CUDA_SUCCESS);
	assert_memory_equal(to, from + 5, 4096);
	assert_int_equal(cuMemFree_v2(device), CUDA_SUCCESS);
	free(from);
	free(to);
}

static void test_copies_2d(void **state)
{
	enum { WIDTH = 100, HEIGHT = 37, HOST_PITCH = 128, DEVICE_PITCH = 256 };
	uint8_t from[HEIGHT * HOST_PITCH], to[HEIGHT * HOST_PITCH];
	CUdeviceptr device;
	CUDA_MEMCPY2D copy = {
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = from,
		.srcPitch = HOST_PITCH,
		.srcXInBytes = 3,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstPitch = DEVICE_PITCH,
		.dstY = 1,
		.WidthInBytes = WIDTH,
		.Height = HEIGHT - 1,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i * 7);
	memset(to, 0xee, sizeof(to));
	assert_int_equal(cuMemAlloc_v2(&device, HEIGHT * DEVICE_PITCH), CUDA_SUCCESS);
	copy.dstDevice = device;
	assert_int_equal(cuMemcpy2D_v2(&copy), CUDA_SUCCESS);
	copy = (CUDA_MEMCPY2D){
		.srcMemoryType = CU_MEMORYTYPE_UNIFIED,
		.srcDevice = device,
		.srcPitch = DEVICE_PITCH,
		.srcY = 1,
		.dstMemoryType = CU_MEMORYTYPE_HOST,
		.dstHost = to,
		.dstPitch = HOST_PITCH,
		.WidthInBytes = WIDTH,
		.Height = HEIGHT - 1,
	};
	assert_int_equal(cuMemcpy2D_v2(&copy), CUDA_SUCCESS);
	for (int row = 0; row < HEIGHT - 1; row++) {
		assert_memory_equal(to + row * HOST_PITCH, from + row * HOST_PITCH + 3, WIDTH);
		assert_int_equal(to[row * HOST_PITCH + WIDTH], 0xee);
	}
	copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
	assert_int_equal(cuMemcpy2D_v2(&copy), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemFree_v2(device), CUDA_SUCCESS);
}

static void test_pinned(void **state)
{
	enum { BYTES = 3 << 20 };
	CUdeviceptr device, mapped;
	uint8_t *pinned, *back;
	unsigned int type = 0;

	(void)state;
	assert_int_equal(cuMemHostAlloc((void **)&pinned, BYTES, CU_MEMHOSTALLOC_DEVICEMAP), CUDA_SUCCESS);
	assert_int_equal(cuMemAllocHost_v2((void **)&back, BYTES), CUDA_SUCCESS);
	assert_int_equal(cuMemHostGetDevicePointer_v2(&mapped, pinned, 0), CUDA_SUCCESS);
	assert_int_equal(mapped, (uintptr_t)pinned);
	assert_int_equal(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, mapped), CUDA_SUCCESS);
	assert_int_equal(type, CU_MEMORYTYPE_HOST);
	assert_int_equal(cuMemAlloc_v2(&device, BYTES), CUDA_SUCCESS);
	assert_int_equal(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, device + 5), CUDA_SUCCESS);
	assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
	memset(pinned, 0x5a, BYTES);
	memset(back, 0, BYTES);
	assert_int_equal(cuMemcpyHtoDAsync_v2(device, pinned, BYTES, NULL), CUDA_SUCCESS);
	assert_int_equal(cuMemcpyDtoHAsync_v2(back, device, BYTES, NULL), CUDA_SUCCESS);
	assert_int_equal(cuStreamSynchronize(NULL), CUDA_SUCCESS);
	assert_memory_equal(pinned, back, BYTES);
	assert_int_equal(cuMemFreeHost(pinned), CUDA_SUCCESS);
	assert_int_equal(cuMemFreeHost(back), CUDA_SUCCESS);
	assert_int_equal(cuMemFreeHost(back), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemFree_v2(device), CUDA_SUCCESS);
	assert_int_equal(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, device),
			 CUDA_ERROR_INVALID_VALUE);
}

static void test_library(void **state)
{
	CUlibrary library, same;
	CUkernel kernel, again;
	CUdeviceptr to;
	uint64_t sum = 0, a = 30, b = 12;
	const char *name;
	void *parameters[] = {&to, &a, &b};
	CUfunction function;

	(void)state;
	assert_int_equal(cuLibraryLoadData(&library, image, NULL, NULL, 0, NULL, NULL, 0), CUDA_SUCCESS);
	assert_int_equal(cuLibraryGetKernel(&kernel, library, "absent"), CUDA_ERROR_NOT_FOUND);
	assert_int_equal(cuLibraryGetKernel(&kernel, library, "add"), CUDA_SUCCESS);
	assert_int_equal(cuLibraryGetKernel(&again, library, "add"), CUDA_SUCCESS);
	assert_ptr_equal(kernel, again);
	assert_int_equal(cuKernelGetName(&name, kernel), CUDA_SUCCESS);
	assert_string_equal(name, "add");
	assert_int_equal(cuKernelGetLibrary(&same, kernel), CUDA_SUCCESS);
	assert_ptr_equal(same, library);
	assert_int_equal(cuMemAlloc_v2(&to, 8), CUDA_SUCCESS);
	function = (CUfunction)kernel;
	assert_int_equal(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL), CUDA_SUCCESS);
	assert_int_equal(cuMemcpyDtoH_v2(&sum, to, 8), CUDA_SUCCESS);
	assert_int_equal(sum, 42);
	assert_int_equal(cuMemFree_v2(to), CUDA_SUCCESS);
	assert_int_equal(cuLibraryUnload(library), CUDA_SUCCESS);
	assert_int_equal(cuLibraryUnload(library), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(cuKernelGetName(&name, kernel), CUDA_ERROR_INVALID_HANDLE);
}

static void test_bad_images(void **state)
{
	static const uint32_t fatbin[] = {0xba55ed50, 0x00100001, 0xffffffff, 0xffffffff};
	static const char binary[] = "\x01\x02\x03\x04\x05";
	CUmodule loaded = (CUmodule)1;

	(void)state;
	assert_int_equal(cuModuleLoadData(&loaded, fatbin), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(cuModuleLoadData(&loaded, binary), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(cuModuleLoadData(&loaded, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuModuleLoad(&loaded, "/nonexistent"), CUDA_ERROR_FILE_NOT_FOUND);
	assert_ptr_equal(loaded, (CUmodule)1);
}

struct worker {
	int number;
	CUresult result;
};

static void *worker_run(void *argument)
{
	struct worker *worker = argument;
	CUdeviceptr to = 0;
	CUstream stream;
	uint64_t sum;

	worker->result = cuCtxSetCurrent(context);
	if (!worker->result)
		worker->result = cuMemAlloc_v2(&to, 4096);
	if (!worker->result)
		worker->result = cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
	for (uint64_t i = 0; i < 500 && !worker->result; i++) {
		CUstream one = i % 3 == 0 ? CU_STREAM_PER_THREAD : stream;

		worker->result = launch_add(to, i, (uint64_t)worker->number << 32, one);
		if (!worker->result)
			worker->result = cuMemcpyDtoHAsync_v2(&sum, to, 8, one);
		if (!worker->result && sum != i + ((uint64_t)worker->number << 32))
			worker->result = CUDA_ERROR_UNKNOWN;
	}
	if (!worker->result)
		worker->result = cuStreamDestroy_v2(stream);
	if (!worker->result)
		worker->result = cuMemFree_v2(to);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[6];
	struct worker workers[6];

	(void)state;
	for (int i = 0; i < 6; i++) {
		workers[i] = (struct worker){.number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
	}
	for (int i = 0; i < 6; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].result, CUDA_SUCCESS);
	}
}

static void test_contexts(void **state)
{
	CUcontext other, current;
	unsigned int flags;
	CUdevice device;
	int active;

	(void)state;
	assert_int_equal(cuCtxGetCurrent(&current), CUDA_SUCCESS);
	assert_ptr_equal(current, context);
	assert_int_equal(cuCtxCreate_v2(&other, 0, 0), CUDA_SUCCESS);
	assert_int_equal(cuCtxGetCurrent(&current), CUDA_SUCCESS);
	assert_ptr_equal(current, other);
	assert_int_equal(cuCtxGetDevice(&device), CUDA_SUCCESS);
	assert_int_equal(cuCtxPopCurrent_v2(&current), CUDA_SUCCESS);
	assert_ptr_equal(current, other);
	assert_int_equal(cuCtxPushCurrent_v2(other), CUDA_SUCCESS);
	assert_int_equal(cuCtxDestroy_v2(other), CUDA_SUCCESS);
	assert_int_equal(cuCtxGetCurrent(&current), CUDA_SUCCESS);
	assert_ptr_equal(current, context);
	assert_int_equal(cuCtxPushCurrent_v2(other), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
	assert_int_equal(active, 1);
}

static void test_fork(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		CUdeviceptr pointer;
		int count;

		_exit(cuMemAlloc_v2(&pointer, 16) == CUDA_ERROR_NOT_INITIALIZED &&
				      cuInit(0) == CUDA_ERROR_NOT_INITIALIZED &&
				      cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED
			      ? 0
			      : 1);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
}

/* A reset ends what the context had, handles included, and the next retain begins anew. */
static void test_reset(void **state)
{
	CUdeviceptr pointer;
	CUfunction function;
	CUcontext again;
	unsigned int flags;
	int active;

	(void)state;
	assert_int_equal(cuMemAlloc_v2(&pointer, 64), CUDA_SUCCESS);
	assert_int_equal(cuDevicePrimaryCtxReset_v2(0), CUDA_SUCCESS);
	assert_int_equal(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
	assert_int_equal(active, 0);
	assert_int_equal(cuMemAlloc_v2(&pointer, 64), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_int_equal(cuDevicePrimaryCtxRetain(&again, 0), CUDA_SUCCESS);
	assert_ptr_equal(again, context);
	assert_int_equal(cuMemFree_v2(pointer), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuModuleGetFunction(&function, module, "add"), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(launch_add(pointer, 1, 1, NULL), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(cuModuleLoadData(&module, image), CUDA_SUCCESS);
	assert_int_equal(cuModuleGetFunction(&add, module, "add"), CUDA_SUCCESS);
	assert_int_equal(cuMemAlloc_v2(&pointer, 64), CUDA_SUCCESS);
	assert_int_equal(launch_add(pointer, 1, 1, CU_STREAM_PER_THREAD), CUDA_SUCCESS);
	assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
	assert_int_equal(cuMemFree_v2(pointer), CUDA_SUCCESS);
}

/* Prints figures, and fails only when something is badly wrong. */
static void test_times(void **state)
{
	enum { COUNT = 20000 };
	CUdeviceptr to;
	uint64_t began, issued;

	(void)state;
	assert_int_equal(cuMemAlloc_v2(&to, 8), CUDA_SUCCESS);
	began = now_ns();
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(launch_add(to, 1, 1, NULL), CUDA_SUCCESS);
	issued = now_ns();
	assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
	printf("# launch: issue %lu ns, sustained %lu ns\n", (issued - began) / COUNT, (now_ns() - began) / COUNT);
	began = now_ns();
	for (int i = 0; i < 2000; i++)
		assert_int_equal(cuStreamQuery(NULL), CUDA_SUCCESS);
	printf("# round trip %lu ns\n", (now_ns() - began) / 2000);
	assert_int_equal(cuMemFree_v2(to), CUDA_SUCCESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_devices),	       cmocka_unit_test(test_launch),
		cmocka_unit_test(test_launch_refused), cmocka_unit_test(test_copies),
		cmocka_unit_test(test_copies_2d),      cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_library),	       cmocka_unit_test(test_bad_images),
		cmocka_unit_test(test_contexts),       cmocka_unit_test(test_threads),
		cmocka_unit_test(test_fork),	       cmocka_unit_test(test_reset),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
