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
static int is_released;

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

/* Makes calls while the stream is held, then lets it go. */
static void *release(void *argument)
{
	size_t all, unused;

	(void)argument;
	for (int i = 0; i < 40; i++) {
		if (cuCtxSetCurrent(current) || cuMemGetInfo_v2(&unused, &all))
			break;
		usleep(5000);
	}
	__atomic_store_n(&is_released, 1, __ATOMIC_RELEASE);
	return NULL;
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
		assert_int_equal(pthread_join(releaser, NULL), 0);
		assert_memory_equal(got, sent, sizes[i]);
	}
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
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
