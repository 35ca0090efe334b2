/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuLaunchCooperativeKernelMultiDevice on one device, and on two where there are, with any libcuda.so.1. Run by
 * test_devices.py. What no manual says is printed, to be compared with the real driver's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "stream_calls.h"

CUresult cuDeviceGetCount(int *count);
CUresult cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS *launches, unsigned int count, unsigned int flags);
CUresult cuEventCreate(CUevent *event, unsigned int flags);
CUresult cuEventRecord(CUevent event, CUstream stream);
CUresult cuEventQuery(CUevent event);
CUresult cuEventSynchronize(CUevent event);
CUresult cuEventDestroy_v2(CUevent event);
CUresult cuLibraryGetKernel(CUkernel *kernel, CUlibrary library, const char *name);
CUresult cuLibraryUnload(CUlibrary library);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

enum {
	NO_PRE = CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_PRE_LAUNCH_SYNC,
	NO_POST = CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_POST_LAUNCH_SYNC,
	DEVICES = 2,
	BLOCKS = 4,
	THREADS = 64,
	WORDS = BLOCKS * THREADS,
	PATIENCE_MS = 20000,
};

/* Of each device. */
struct place {
	CUcontext context;
	CUmodule module;
	CUfunction function;
	CUstream stream;
	CUdeviceptr words;
	void *parameters[1];
};

static struct place places[DEVICES];
static int device_count;

static int setup(void **state)
{
	(void)state;
	if (cuInit(0) || cuDeviceGetCount(&device_count))
		return 1;
	if (device_count > DEVICES)
		device_count = DEVICES;
	for (int i = device_count - 1; i >= 0; i--) {
		struct place *place = &places[i];

		if (cuDevicePrimaryCtxRetain(&place->context, i) || cuCtxSetCurrent(place->context) ||
		    cuModuleLoadData(&place->module, increment_image) ||
		    cuModuleGetFunction(&place->function, place->module, "increment") ||
		    cuStreamCreate(&place->stream, CU_STREAM_NON_BLOCKING) ||
		    cuMemAlloc_v2(&place->words, WORDS * sizeof(uint32_t)) || cuMemsetD32_v2(place->words, 0, WORDS) ||
		    cuCtxSynchronize())
			return 1;
		place->parameters[0] = &place->words;
	}
	return 0;
}

static CUDA_LAUNCH_PARAMS launch_of(struct place *place)
{
	return (CUDA_LAUNCH_PARAMS){
		.function = place->function,
		.gridDimX = BLOCKS,
		.gridDimY = 1,
		.gridDimZ = 1,
		.blockDimX = THREADS,
		.blockDimY = 1,
		.blockDimZ = 1,
		.hStream = place->stream,
		.kernelParams = place->parameters,
	};
}

/* All words of the place are so many by now. */
static void words_expect(struct place *place, uint32_t value)
{
	uint32_t words[WORDS];

	WORKS(cuCtxSetCurrent(place->context));
	WORKS(cuStreamSynchronize(place->stream));
	WORKS(cuMemcpyDtoH_v2(words, place->words, sizeof(words)));
	for (int i = 0; i < WORDS; i++)
		assert_int_equal(words[i], value);
	WORKS(cuMemsetD32_v2(place->words, 0, WORDS));
	WORKS(cuCtxSynchronize());
	WORKS(cuCtxSetCurrent(places[0].context));
}

static void test_one_device(void **state)
{
	CUDA_LAUNCH_PARAMS launch = launch_of(&places[0]);
	int supported = 0;

	(void)state;
	WORKS(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_COOPERATIVE_MULTI_DEVICE_LAUNCH, 0));
	assert_int_equal(supported, 1);
	for (unsigned int flags = 0; flags <= (NO_PRE | NO_POST); flags++)
		WORKS(cuLaunchCooperativeKernelMultiDevice(&launch, 1, flags));
	words_expect(&places[0], 4);
}

/* A kernel of a library has no context of its own. */
static void test_kernel_of_library(void **state)
{
	CUDA_LAUNCH_PARAMS launches[DEVICES];
	CUlibrary library;
	CUkernel kernel;

	(void)state;
	WORKS(cuLibraryLoadData(&library, increment_image, NULL, NULL, 0, NULL, NULL, 0));
	WORKS(cuLibraryGetKernel(&kernel, library, "increment"));
	for (int i = 0; i < device_count; i++) {
		launches[i] = launch_of(&places[i]);
		launches[i].function = (CUfunction)kernel;
	}
	WORKS(cuLaunchCooperativeKernelMultiDevice(launches, (unsigned int)device_count, 0));
	for (int i = 0; i < device_count; i++)
		words_expect(&places[i], 1);
	WORKS(cuLibraryUnload(library));
}

static void told(const char *what, CUresult result)
{
	printf("result several.%s %d\n", what, result);
	fflush(stdout);
}

static void refused(const char *what, CUDA_LAUNCH_PARAMS launch)
{
	told(what, cuLaunchCooperativeKernelMultiDevice(&launch, 1, 0));
}

static void test_refusals(void **state)
{
	const CUDA_LAUNCH_PARAMS good = launch_of(&places[0]);
	CUDA_LAUNCH_PARAMS launches[DEVICES] = {good, good};
	CUDA_LAUNCH_PARAMS launch;
	CUstream other;

	(void)state;
	told("no_list", cuLaunchCooperativeKernelMultiDevice(NULL, 1, 0));
	told("count_0", cuLaunchCooperativeKernelMultiDevice(launches, 0, 0));
	told("flags", cuLaunchCooperativeKernelMultiDevice(launches, 1, 4));
	told("twice_in_a_stream", cuLaunchCooperativeKernelMultiDevice(launches, 2, 0));
	WORKS(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	launches[1].hStream = other;
	told("twice_on_a_device", cuLaunchCooperativeKernelMultiDevice(launches, 2, 0));
	launch = good;
	launch.function = NULL;
	refused("no_function", launch);
	launch = good;
	launch.hStream = NULL;
	assert_int_equal(cuLaunchCooperativeKernelMultiDevice(&launch, 1, 0), CUDA_ERROR_INVALID_HANDLE);
	launch.hStream = CU_STREAM_LEGACY;
	assert_int_equal(cuLaunchCooperativeKernelMultiDevice(&launch, 1, 0), CUDA_ERROR_INVALID_HANDLE);
	launch.hStream = CU_STREAM_PER_THREAD;
	assert_int_equal(cuLaunchCooperativeKernelMultiDevice(&launch, 1, 0), CUDA_ERROR_INVALID_HANDLE);
	launch = good;
	launch.gridDimX = 0;
	refused("grid_0", launch);
	launch = good;
	launch.gridDimX = 1 << 20;
	refused("grid_too_large", launch);
	launch = good;
	launch.blockDimX = 0;
	refused("block_0", launch);
	launch = good;
	launch.blockDimX = 2048;
	refused("block_too_large", launch);
	launch = good;
	launch.sharedMemBytes = 1 << 30;
	refused("shared_too_large", launch);
	launch = good;
	launch.kernelParams = NULL;
	refused("no_parameters", launch);
	WORKS(cuCtxSetCurrent(NULL));
	told("no_context", cuLaunchCooperativeKernelMultiDevice(launches, 1, 0));
	WORKS(cuCtxSetCurrent(places[0].context));
	WORKS(cuStreamDestroy_v2(other));
	WORKS(cuCtxSynchronize());
	WORKS(cuMemsetD32_v2(places[0].words, 0, WORDS));
	WORKS(cuCtxSynchronize());
}

/* A capture of a launch that takes several devices. */
static void test_capture(void **state)
{
	CUDA_LAUNCH_PARAMS launch = launch_of(&places[0]);
	CUgraph graph = NULL;

	(void)state;
	WORKS(cuStreamBeginCapture_v2(places[0].stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	told("captured", cuLaunchCooperativeKernelMultiDevice(&launch, 1, 0));
	told("captured.end", cuStreamEndCapture(places[0].stream, &graph));
	if (graph)
		WORKS(cuGraphDestroy(graph));
	words_expect(&places[0], 0);
}

struct barrier {
	atomic_int is_open;
};

static void milliseconds_sleep(int milliseconds)
{
	nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000L}, NULL);
}

static void barrier_wait(void *data)
{
	struct barrier *barrier = data;

	for (int i = 0; i < PATIENCE_MS / 10 && !atomic_load(&barrier->is_open); i++)
		milliseconds_sleep(10);
}

/* Whether the second device's stream comes to its end while the first one's has not begun with the launch. */
static bool second_ends_alone(unsigned int flags)
{
	CUDA_LAUNCH_PARAMS launches[DEVICES] = {launch_of(&places[0]), launch_of(&places[1])};
	struct barrier barrier = {0};
	CUresult result = CUDA_ERROR_NOT_READY;
	CUevent event;

	WORKS(cuCtxSetCurrent(places[1].context));
	WORKS(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	WORKS(cuCtxSetCurrent(places[0].context));
	WORKS(cuLaunchHostFunc(places[0].stream, barrier_wait, &barrier));
	WORKS(cuLaunchCooperativeKernelMultiDevice(launches, 2, flags));
	WORKS(cuCtxSetCurrent(places[1].context));
	WORKS(cuEventRecord(event, places[1].stream));
	/* What is to come at once may take its time; what is not to come is given a while. */
	for (int i = 0; i < (flags == (NO_PRE | NO_POST) ? PATIENCE_MS / 20 : 50) && result == CUDA_ERROR_NOT_READY;
	     i++) {
		milliseconds_sleep(10);
		result = cuEventQuery(event);
	}
	atomic_store(&barrier.is_open, 1);
	WORKS(cuEventSynchronize(event));
	WORKS(cuEventDestroy_v2(event));
	words_expect(&places[0], 1);
	words_expect(&places[1], 1);
	return result == CUDA_SUCCESS;
}

/* API reference: kernels begin when all streams have come to the launch, and what is behind them when all have ended.
 */
static void test_synchronisation(void **state)
{
	(void)state;
	if (device_count < 2)
		return;
	assert_false(second_ends_alone(0));
	assert_false(second_ends_alone(NO_PRE));
	assert_false(second_ends_alone(NO_POST));
	assert_true(second_ends_alone(NO_PRE | NO_POST));
}

static void test_two_devices(void **state)
{
	CUDA_LAUNCH_PARAMS launches[DEVICES];

	(void)state;
	if (device_count < 2)
		return;
	for (int i = 0; i < DEVICES; i++)
		launches[i] = launch_of(&places[i]);
	for (int i = 0; i < 100; i++)
		WORKS(cuLaunchCooperativeKernelMultiDevice(launches, 2, i % 4u));
	words_expect(&places[0], 100);
	words_expect(&places[1], 100);
	launches[1].gridDimX = 1;
	told("other_grid", cuLaunchCooperativeKernelMultiDevice(launches, 2, 0));
	launches[1] = launch_of(&places[1]);
	launches[1].function = places[0].function;
	told("function_of_other_context", cuLaunchCooperativeKernelMultiDevice(launches, 2, 0));
	words_expect(&places[0], 0);
	words_expect(&places[1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_device),	cmocka_unit_test(test_kernel_of_library),
		cmocka_unit_test(test_refusals),	cmocka_unit_test(test_capture),
		cmocka_unit_test(test_synchronisation), cmocka_unit_test(test_two_devices),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
