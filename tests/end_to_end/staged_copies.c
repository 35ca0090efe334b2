/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of pageable memory in streams that wait, and what other threads do meanwhile, with any libcuda.so.1. Run by
 * test_streams.py.
 *
 * A stream is held by a host function at a gate, or by a value in memory; both give way by themselves in the end, so
 * that what waits for it where it should not is a failure, not a hang. NVIDIA's driver holds others up itself (580, on
 * an H200): their copies natively, and the loading of modules in any case.
 */
#include <pthread.h>
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

#include "array_copies.h"
#include "cuda_abi.h"
#include "stream_calls.h"

CUresult cuArrayCreate_v2(CUarray *array, const CUDA_ARRAY_DESCRIPTOR *descriptor);
CUresult cuArrayDestroy(CUarray array);
CUresult cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned int flags);
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream);

#define WORKS(call)	  assert_int_equal(call, CUDA_SUCCESS)
#define GATE_MILLISECONDS 15000
/* For what is most likely to have happened by then. */
#define MILLISECONDS 100

enum {
	LARGE_BYTES = 8 << 20,
	SMALL_BYTES = 64 << 10, /* natively taken at once */
	IMAGE_BYTES = 2 << 20,
	ROW_BYTES = 4096,
	THREADS = 12,
};

static CUcontext context, elsewhere;

/* What one side of a test has. */
struct place {
	CUcontext context;
	CUstream stream;
	CUdeviceptr memory;
	CUarray array;
	uint8_t *bytes; /* LARGE_BYTES of pageable memory */
	uint8_t first;	/* what they begin with */
};

static struct place held, beside, other;

static void bytes_fill(uint8_t *bytes, uint8_t first)
{
	for (size_t i = 0; i < LARGE_BYTES; i++)
		bytes[i] = (uint8_t)(first + i + i / 4093);
}

static void bytes_check(const uint8_t *bytes, uint8_t first)
{
	for (size_t i = 0; i < LARGE_BYTES; i++) {
		if (bytes[i] != (uint8_t)(first + i + i / 4093))
			fail_msg("byte %zu is %u", i, bytes[i]);
	}
}

static bool place_open(struct place *place, CUcontext in, uint8_t first, unsigned int flags)
{
	const CUDA_ARRAY_DESCRIPTOR shape = {.Width = ROW_BYTES,
					     .Height = LARGE_BYTES / ROW_BYTES,
					     .Format = CU_AD_FORMAT_UNSIGNED_INT8,
					     .NumChannels = 1};

	*place = (struct place){.context = in, .bytes = malloc(LARGE_BYTES), .first = first};
	return place->bytes && !cuCtxSetCurrent(in) && !cuStreamCreate(&place->stream, flags) &&
	       !cuMemAlloc_v2(&place->memory, LARGE_BYTES) && !cuArrayCreate_v2(&place->array, &shape);
}

static int setup(void **state)
{
	(void)state;
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxCreate_v2(&elsewhere, 0, 0))
		return -1;
	return place_open(&held, context, 1, CU_STREAM_NON_BLOCKING) &&
			       place_open(&beside, context, 77, CU_STREAM_NON_BLOCKING) &&
			       place_open(&other, elsewhere, 150, CU_STREAM_NON_BLOCKING) && !cuCtxSetCurrent(context)
		       ? 0
		       : -1;
}

static void milliseconds_sleep(int milliseconds)
{
	nanosleep(&(struct timespec){.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L}, NULL);
}

struct gate {
	atomic_bool is_open;
	atomic_bool has_expired;
};

static void gate_wait(void *data)
{
	struct gate *gate = data;

	for (int i = 0; i < GATE_MILLISECONDS && !gate->is_open; i++)
		milliseconds_sleep(1);
	if (!gate->is_open)
		gate->has_expired = true;
}

/* A thread that makes one copy in the held place. */
struct copier {
	pthread_t thread;
	CUresult (*copy)(uint8_t *bytes, CUstream stream);
	uint8_t *bytes;
	CUstream stream;
	CUresult result;
};

static void *copier_run(void *argument)
{
	struct copier *copier = argument;

	(void)cuCtxSetCurrent(held.context);
	copier->result = copier->copy(copier->bytes, copier->stream);
	return NULL;
}

static void copier_start(struct copier *copier)
{
	assert_int_equal(pthread_create(&copier->thread, NULL, copier_run, copier), 0);
}

static void copier_end(struct copier *copier)
{
	pthread_join(copier->thread, NULL);
	WORKS(copier->result);
}

static CUresult up(uint8_t *bytes, CUstream stream)
{
	return cuMemcpyHtoDAsync_v2(held.memory, bytes, LARGE_BYTES, stream);
}

static CUresult down(uint8_t *bytes, CUstream stream)
{
	return cuMemcpyDtoHAsync_v2(bytes, held.memory, LARGE_BYTES, stream);
}

static CUresult up_and_wait(uint8_t *bytes, CUstream stream)
{
	(void)stream;
	return cuMemcpyHtoD_v2(held.memory, bytes, LARGE_BYTES);
}

static CUresult down_and_wait(uint8_t *bytes, CUstream stream)
{
	(void)stream;
	return cuMemcpyDtoH_v2(bytes, held.memory, LARGE_BYTES);
}

/* Rows with gaps between them, each a short copy. */
static CUDA_MEMCPY2D rows_of(uint8_t *bytes)
{
	return (CUDA_MEMCPY2D){.srcMemoryType = CU_MEMORYTYPE_HOST,
			       .srcHost = bytes,
			       .srcPitch = ROW_BYTES,
			       .dstMemoryType = CU_MEMORYTYPE_DEVICE,
			       .dstDevice = held.memory,
			       .dstPitch = ROW_BYTES,
			       .WidthInBytes = ROW_BYTES - 16,
			       .Height = LARGE_BYTES / ROW_BYTES};
}

static CUresult up_in_rows(uint8_t *bytes, CUstream stream)
{
	const CUDA_MEMCPY2D rows = rows_of(bytes);

	return cuMemcpy2DAsync_v2(&rows, stream);
}

static CUDA_MEMCPY2D texels_of(uint8_t *bytes, CUarray array, bool is_up)
{
	return array_copy_of(array, bytes, ROW_BYTES, LARGE_BYTES / ROW_BYTES, is_up);
}

static CUresult array_up(uint8_t *bytes, CUstream stream)
{
	const CUDA_MEMCPY2D copy = texels_of(bytes, held.array, true);

	return cuMemcpy2DAsync_v2(&copy, stream);
}

static CUresult array_down(uint8_t *bytes, CUstream stream)
{
	const CUDA_MEMCPY2D copy = texels_of(bytes, held.array, false);

	return cuMemcpy2DAsync_v2(&copy, stream);
}

/* Both directions, and what was copied is right. The current context is the place's. */
static void linear_check(const struct place *place)
{
	bytes_fill(place->bytes, place->first);
	WORKS(cuMemcpyHtoDAsync_v2(place->memory, place->bytes, LARGE_BYTES, place->stream));
	memset(place->bytes, 0, LARGE_BYTES);
	WORKS(cuMemcpyDtoHAsync_v2(place->bytes, place->memory, LARGE_BYTES, place->stream));
	WORKS(cuStreamSynchronize(place->stream));
	bytes_check(place->bytes, place->first);
}

static void array_check(const struct place *place)
{
	const CUDA_MEMCPY2D there = texels_of(place->bytes, place->array, true);
	const CUDA_MEMCPY2D back = texels_of(place->bytes, place->array, false);

	bytes_fill(place->bytes, place->first);
	WORKS(cuMemcpy2DAsync_v2(&there, place->stream));
	memset(place->bytes, 0, LARGE_BYTES);
	WORKS(cuMemcpy2DAsync_v2(&back, place->stream));
	WORKS(cuStreamSynchronize(place->stream));
	bytes_check(place->bytes, place->first);
}

/* Copies of the other places while those of the held one wait, in the order of the contexts. */
static void others_check(void)
{
	linear_check(&beside);
	array_check(&beside);
	WORKS(cuCtxSetCurrent(elsewhere));
	linear_check(&other);
	array_check(&other);
	WORKS(cuCtxSetCurrent(context));
}

static void gate_open(struct gate *gate)
{
	gate->is_open = true;
	assert_false(gate->has_expired);
}

/* Each of so many threads makes the copy in 'in', which 'hold' waits in, while others go on. */
static void held_check(CUresult (*copy)(uint8_t *bytes, CUstream stream), CUstream hold, CUstream in, int threads)
{
	struct copier copiers[THREADS];
	struct gate gate = {0};

	WORKS(cuLaunchHostFunc(hold, gate_wait, &gate));
	for (int i = 0; i < threads; i++) {
		uint8_t *bytes = i ? malloc(LARGE_BYTES) : held.bytes;

		assert_non_null(bytes);
		copiers[i] = (struct copier){.copy = copy, .stream = in, .bytes = bytes};
		copier_start(&copiers[i]);
	}
	milliseconds_sleep(MILLISECONDS);
	others_check();
	gate_open(&gate);
	for (int i = 0; i < threads; i++) {
		copier_end(&copiers[i]);
		if (i)
			free(copiers[i].bytes);
	}
	WORKS(cuStreamSynchronize(in));
}

static void test_up(void **state)
{
	(void)state;
	bytes_fill(held.bytes, held.first);
	held_check(up, held.stream, held.stream, 1);
	memset(held.bytes, 0, LARGE_BYTES);
	held_check(down, held.stream, held.stream, 1);
	bytes_check(held.bytes, held.first);
}

static void test_rows(void **state)
{
	(void)state;
	bytes_fill(held.bytes, 9);
	WORKS(cuMemsetD8Async(held.memory, 0, LARGE_BYTES, held.stream));
	held_check(up_in_rows, held.stream, held.stream, 1);
	memset(held.bytes, 0, LARGE_BYTES);
	WORKS(cuMemcpyDtoH_v2(held.bytes, held.memory, LARGE_BYTES));
	assert_int_equal(held.bytes[LARGE_BYTES - 17], (uint8_t)(9 + LARGE_BYTES - 17 + (LARGE_BYTES - 17) / 4093));
	assert_int_equal(held.bytes[LARGE_BYTES - 1], 0);
}

static void test_arrays(void **state)
{
	(void)state;
	bytes_fill(held.bytes, 30);
	held_check(array_up, held.stream, held.stream, 1);
	memset(held.bytes, 0, LARGE_BYTES);
	held_check(array_down, held.stream, held.stream, 1);
	bytes_check(held.bytes, 30);
}

/* The legacy default stream waits for what is in blocking streams. */
static void test_default_stream(void **state)
{
	CUstream blocking;

	(void)state;
	WORKS(cuStreamCreate(&blocking, 0));
	bytes_fill(held.bytes, 60);
	held_check(up_and_wait, blocking, NULL, 1);
	memset(held.bytes, 0, LARGE_BYTES);
	held_check(down_and_wait, blocking, NULL, 1);
	bytes_check(held.bytes, 60);
	WORKS(cuStreamDestroy_v2(blocking));
}

static void test_many_threads(void **state)
{
	(void)state;
	bytes_fill(held.bytes, 90);
	WORKS(cuMemcpyHtoD_v2(held.memory, held.bytes, LARGE_BYTES));
	memset(held.bytes, 0, LARGE_BYTES);
	held_check(down, held.stream, held.stream, THREADS);
	bytes_check(held.bytes, 90);
}

struct value {
	struct gate gate;
	uint32_t *word;
};

static void *value_write(void *argument)
{
	struct value *value = argument;

	gate_wait(&value->gate);
	__atomic_store_n(value->word, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Until a value in memory is there. */
static void test_value(void **state)
{
	struct copier copier = {.copy = up, .stream = held.stream, .bytes = held.bytes};
	struct value value = {0};
	pthread_t writer;
	CUdeviceptr address;

	(void)state;
	WORKS(cuMemHostAlloc((void **)&value.word, sizeof(*value.word), CU_MEMHOSTALLOC_DEVICEMAP));
	WORKS(cuMemHostGetDevicePointer_v2(&address, value.word, 0));
	*value.word = 0;
	assert_int_equal(pthread_create(&writer, NULL, value_write, &value), 0);
	bytes_fill(held.bytes, 120);
	WORKS(cuStreamWaitValue32_v2(held.stream, address, 1, CU_STREAM_WAIT_VALUE_EQ));
	copier_start(&copier);
	milliseconds_sleep(MILLISECONDS);
	others_check();
	gate_open(&value.gate);
	copier_end(&copier);
	pthread_join(writer, NULL);
	memset(held.bytes, 0, LARGE_BYTES);
	WORKS(cuMemcpyDtoHAsync_v2(held.bytes, held.memory, LARGE_BYTES, held.stream));
	bytes_check(held.bytes, 120);
	WORKS(cuMemFreeHost(value.word));
}

/* Short copies are taken at once, and hold up nobody either. */
static void test_short_copies(void **state)
{
	struct gate gate = {0};

	(void)state;
	bytes_fill(held.bytes, 7);
	WORKS(cuLaunchHostFunc(held.stream, gate_wait, &gate));
	for (size_t at = 0; at < LARGE_BYTES / 4; at += SMALL_BYTES)
		WORKS(cuMemcpyHtoDAsync_v2(held.memory + at, held.bytes + at, SMALL_BYTES, held.stream));
	linear_check(&beside);
	WORKS(cuCtxSetCurrent(elsewhere));
	linear_check(&other);
	WORKS(cuCtxSetCurrent(context));
	gate_open(&gate);
	memset(held.bytes, 0, LARGE_BYTES / 4);
	WORKS(cuMemcpyDtoHAsync_v2(held.bytes, held.memory, LARGE_BYTES / 4, held.stream));
	bytes_check(held.bytes, 7);
}

/* Code that is too long for a record, behind comments. */
static char *image_make(void)
{
	char *image = malloc(IMAGE_BYTES + sizeof(increment_image));

	if (!image)
		return NULL;
	memset(image, ' ', IMAGE_BYTES);
	for (size_t at = 0; at < IMAGE_BYTES; at += 64)
		image[at] = '\n';
	memcpy(image + IMAGE_BYTES, increment_image, sizeof(increment_image));
	return image;
}

static void modules_check(struct gate *gate)
{
	char *image = image_make();
	CUmodule module;

	assert_non_null(image);
	WORKS(cuModuleLoadData(&module, image));
	free(image);
	gate_open(gate);
	WORKS(cuModuleUnload(module));
}

static void test_modules(void **state)
{
	struct copier copier = {.copy = up, .stream = held.stream, .bytes = held.bytes};
	struct gate first = {0}, second = {0};
	char name[64] = "";

	(void)state;
	WORKS(cuDeviceGetName(name, sizeof(name), 0));
	if (!strstr(name, "softgpu"))
		skip();
	WORKS(cuLaunchHostFunc(held.stream, gate_wait, &first));
	copier_start(&copier);
	milliseconds_sleep(MILLISECONDS);
	modules_check(&first);
	copier_end(&copier);
	WORKS(cuLaunchHostFunc(held.stream, gate_wait, &second));
	for (size_t at = 0; at < LARGE_BYTES / 4; at += SMALL_BYTES)
		WORKS(cuMemcpyHtoDAsync_v2(held.memory + at, held.bytes + at, SMALL_BYTES, held.stream));
	modules_check(&second);
	WORKS(cuStreamSynchronize(held.stream));
}

int main(void)
{
	const struct CMUnitTest natively[] = {cmocka_unit_test(test_short_copies)};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_up),	     cmocka_unit_test(test_rows),
		cmocka_unit_test(test_arrays),	     cmocka_unit_test(test_default_stream),
		cmocka_unit_test(test_many_threads), cmocka_unit_test(test_value),
		cmocka_unit_test(test_short_copies), cmocka_unit_test(test_modules),
	};

	return getenv("VGPU_NATIVE") ? cmocka_run_group_tests(natively, setup, NULL)
				     : cmocka_run_group_tests(tests, setup, NULL);
}
