/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies in a stream of another context than the current one, as cuFFT makes them with several GPUs, with any
 * libcuda.so.1. Run by test_streams.py.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "error_calls.h"
#include "green_calls.h"
#include "stream_calls.h"

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)
#define BYTES_MAX   (3u << 20)
#define WIDTH	    1024u
#define HEIGHT	    128u

static const size_t sizes[] = {64, 4096, 64 << 10, 200 << 10, BYTES_MAX};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static CUcontext other, current;
static CUstream stream; /* of the other context */
static CUdeviceptr memory;
static CUarray array;
static uint8_t *sent, *got;
static int is_released, is_copying;

static int setup(void **state)
{
	CUDA_ARRAY_DESCRIPTOR shape = {
		.Width = WIDTH, .Height = HEIGHT, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 1};

	(void)state;
	sent = malloc(BYTES_MAX);
	got = malloc(BYTES_MAX);
	return !sent || !got || cuInit(0) || cuDevicePrimaryCtxRetain(&other, 0) || cuCtxSetCurrent(other) ||
	       cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuCtxCreate_v2(&current, 0, 0) ||
	       cuMemAlloc_v2(&memory, BYTES_MAX) || cuArrayCreate_v2(&array, &shape);
}

static void fill(size_t bytes, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		sent[i] = (uint8_t)(i * 31 >> 2 ^ seed);
	memset(got, 0, bytes);
}

static void hold(void *argument)
{
	(void)argument;
	while (!__atomic_load_n(&is_released, __ATOMIC_ACQUIRE))
		usleep(1000);
}

/* Makes calls while the stream is held, then lets it go; NULL: all of them worked. */
static void *release(void *argument)
{
	bool has_failed = cuCtxSetCurrent(current);
	size_t all, unused;

	(void)argument;
	for (int i = 0; i < 40; i++) {
		has_failed |= cuMemGetInfo_v2(&unused, &all) != CUDA_SUCCESS;
		usleep(5000);
	}
	__atomic_store_n(&is_released, 1, __ATOMIC_RELEASE);
	return has_failed ? &is_released : NULL;
}

static void release_await(pthread_t releaser)
{
	void *failure;

	assert_int_equal(pthread_join(releaser, &failure), 0);
	assert_null(failure);
}

static void test_linear(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIZES; i++) {
		fill(sizes[i], i);
		WORKS(cuMemcpyHtoDAsync_v2(memory, sent, sizes[i], stream));
		WORKS(cuStreamSynchronize(stream));
		WORKS(cuMemcpyDtoHAsync_v2(got, memory, sizes[i], stream));
		WORKS(cuStreamSynchronize(stream));
		assert_memory_equal(got, sent, sizes[i]);
	}
}

/* The copy is asked about while others make calls. */
static void test_held(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIZES; i++) {
		pthread_t releaser;

		is_released = 0;
		fill(sizes[i], 100 + i);
		WORKS(cuMemcpyHtoD_v2(memory, sent, sizes[i]));
		WORKS(cuLaunchHostFunc(stream, hold, NULL));
		assert_int_equal(pthread_create(&releaser, NULL, release, NULL), 0);
		WORKS(cuMemcpyDtoHAsync_v2(got, memory, sizes[i], stream));
		WORKS(cuStreamSynchronize(stream));
		release_await(releaser);
		assert_memory_equal(got, sent, sizes[i]);
	}
}

/* Makes none, for they might wait for the end of the context. */
static void *release_late(void *argument)
{
	(void)argument;
	sleep(1);
	__atomic_store_n(&is_released, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void *copy_down(void *argument)
{
	CUresult result = cuCtxSetCurrent(other);

	__atomic_store_n(&is_copying, 1, __ATOMIC_RELEASE);
	if (!result)
		result = cuMemcpyDtoHAsync_v2(got, memory, 4096, argument);
	return (void *)(uintptr_t)result;
}

/* A green context ends while a copy waits in its stream. */
static void test_green(void **state)
{
	pthread_t copier, releaser;
	CUdevResource whole;
	CUdevResourceDesc description;
	CUstream green_stream;
	CUgreenCtx green;
	void *result;

	(void)state;
	WORKS(cuDeviceGetDevResource(0, &whole, CU_DEV_RESOURCE_TYPE_SM));
	WORKS(cuDevResourceGenerateDesc(&description, &whole, 1));
	WORKS(cuGreenCtxCreate(&green, description, 0, CU_GREEN_CTX_DEFAULT_STREAM));
	WORKS(cuGreenCtxStreamCreate(&green_stream, green, CU_STREAM_NON_BLOCKING, 0));
	is_released = 0;
	fill(4096, 9);
	WORKS(cuMemcpyHtoD_v2(memory, sent, 4096));
	WORKS(cuLaunchHostFunc(green_stream, hold, NULL));
	assert_int_equal(pthread_create(&copier, NULL, copy_down, green_stream), 0);
	while (!__atomic_load_n(&is_copying, __ATOMIC_ACQUIRE))
		usleep(1000);
	assert_int_equal(pthread_create(&releaser, NULL, release_late, NULL), 0);
	/* That the copy waits cannot be asked. */
	usleep(500000);
	WORKS(cuGreenCtxDestroy(green));
	release_await(releaser);
	assert_int_equal(pthread_join(copier, &result), 0);
	assert_int_equal((uintptr_t)result, CUDA_SUCCESS);
	assert_memory_equal(got, sent, 4096);
}

static void test_array(void **state)
{
	CUDA_MEMCPY2D up = {.srcMemoryType = CU_MEMORYTYPE_HOST,
			    .srcHost = sent,
			    .srcPitch = WIDTH,
			    .dstMemoryType = CU_MEMORYTYPE_ARRAY,
			    .dstArray = array,
			    .WidthInBytes = WIDTH,
			    .Height = HEIGHT};
	CUDA_MEMCPY2D down = {.srcMemoryType = CU_MEMORYTYPE_ARRAY,
			      .srcArray = array,
			      .dstMemoryType = CU_MEMORYTYPE_HOST,
			      .dstHost = got,
			      .dstPitch = WIDTH,
			      .WidthInBytes = WIDTH,
			      .Height = HEIGHT};

	(void)state;
	fill((size_t)WIDTH * HEIGHT, 7);
	WORKS(cuMemcpy2DAsync_v2(&up, stream));
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuMemcpy2DAsync_v2(&down, stream));
	WORKS(cuStreamSynchronize(stream));
	assert_memory_equal(got, sent, (size_t)WIDTH * HEIGHT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_array),
		cmocka_unit_test(test_green),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
