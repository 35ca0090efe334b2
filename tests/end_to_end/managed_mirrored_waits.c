/* SPDX-License-Identifier: Apache-2.0 */
/* Touches of managed memory, copies and prefetches while a stream waits for what another thread does. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "increment.h"
#include "managed_mirrored.h"

#define COPIES 400
#define LOADS  40

/* A stream that stands still until the word is written. */
struct hold {
	CUdeviceptr word;
	CUstream stream;
	CUstream other;
};

static void hold_make(struct hold *hold)
{
	WORKS(cuStreamCreate(&hold->stream, CU_STREAM_NON_BLOCKING));
	WORKS(cuStreamCreate(&hold->other, CU_STREAM_NON_BLOCKING));
	WORKS(cuMemAlloc_v2(&hold->word, 4));
	WORKS(cuMemsetD32_v2(hold->word, 0, 1));
	WORKS(cuCtxSynchronize());
}

static void hold_begin(const struct hold *hold)
{
	WORKS(cuStreamWaitValue32_v2(hold->stream, hold->word, 1, CU_STREAM_WAIT_VALUE_EQ));
}

static void hold_end(const struct hold *hold)
{
	WORKS(cuStreamWriteValue32_v2(hold->other, hold->word, 1, 0));
}

static void hold_free(const struct hold *hold)
{
	WORKS(cuStreamDestroy_v2(hold->stream));
	WORKS(cuStreamDestroy_v2(hold->other));
	WORKS(cuMemFree_v2(hold->word));
}

static void *word_read(void *argument)
{
	uint32_t *words = argument;

	return (void *)(uintptr_t)words[0];
}

/* A touch waits for a kernel that waits for a word, which this thread writes. */
void test_held_touch(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES);
	struct hold hold;
	pthread_t thread;
	void *word;

	(void)state;
	hold_make(&hold);
	words_fill(words, WORDS, 6);
	hold_begin(&hold);
	mirrored_launch(words, WORDS, hold.stream);
	assert_int_equal(pthread_create(&thread, NULL, word_read, words), 0);
	usleep(LATE_US);
	hold_end(&hold);
	assert_int_equal(pthread_join(thread, &word), 0);
	/* Where the memory is shared nothing waits. */
	assert_in_range((uintptr_t)word, 6, 7);
	WORKS(cuCtxSynchronize());
	words_check(words, WORDS, 7);
	hold_free(&hold);
	mirrored_release(words);
}

static void last_double(void *data)
{
	uint32_t *words = data;

	words[WORDS - 1] *= 2;
}

/* A function of the program comes behind the kernel while the touch waits, and touches such memory itself. */
void test_function_meanwhile(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES);
	struct hold hold;
	pthread_t thread;

	(void)state;
	hold_make(&hold);
	words_fill(words, WORDS, 6);
	hold_begin(&hold);
	mirrored_launch(words, WORDS, hold.stream);
	assert_int_equal(pthread_create(&thread, NULL, word_read, words), 0);
	usleep(LATE_US);
	WORKS(cuLaunchHostFunc(hold.stream, last_double, words));
	hold_end(&hold);
	assert_int_equal(pthread_join(thread, NULL), 0);
	WORKS(cuCtxSynchronize());
	assert_int_equal(words[WORDS - 1], (WORDS + 6) * 2);
	hold_free(&hold);
	mirrored_release(words);
}

static void nothing_do(void *data)
{
	(void)data;
}

struct functions {
	CUstream stream;
	bool ends;
	bool has_failed;
};

static void *functions_launch(void *argument)
{
	struct functions *functions = argument;

	functions->has_failed = cuCtxSetCurrent(context);
	while (!functions->has_failed && !__atomic_load_n(&functions->ends, __ATOMIC_ACQUIRE)) {
		functions->has_failed =
			cuLaunchHostFunc(functions->stream, nothing_do, NULL) || cuStreamSynchronize(functions->stream);
	}
	return NULL;
}

/* Long enough for the stream to be waited for, which another thread gives functions of the program. */
void test_held_copies(void **state)
{
	static uint32_t plain[WORDS];
	uint32_t *words = mirrored_allocate(BYTES);
	struct functions functions = {0};
	pthread_t thread;

	(void)state;
	WORKS(cuStreamCreate(&functions.stream, CU_STREAM_DEFAULT));
	mirrored_launch(words, WORDS, NULL);
	assert_int_equal(pthread_create(&thread, NULL, functions_launch, &functions), 0);
	for (uint32_t i = 0; i < COPIES; i++) {
		plain[WORDS - 1] = i;
		WORKS(cuMemcpyHtoD_v2((uintptr_t)words, plain, BYTES));
	}
	__atomic_store_n(&functions.ends, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(functions.has_failed);
	WORKS(cuCtxSynchronize());
	assert_int_equal(words[WORDS - 1], COPIES - 1);
	WORKS(cuStreamDestroy_v2(functions.stream));
	mirrored_release(words);
}

/* Kernels in two streams, which have been waited for, and then a stream that this thread has yet to let go. */
void test_waited_for(void **state)
{
	uint32_t *words = mirrored_allocate(2 * BYTES);
	struct hold hold;

	(void)state;
	hold_make(&hold);
	for (uint32_t turn = 1; turn <= 2; turn++) {
		mirrored_launch(words, WORDS, hold.other);
		if (turn == 1)
			WORKS(cuStreamSynchronize(hold.other));
		mirrored_launch(words, WORDS, NULL);
		if (turn == 1)
			WORKS(cuStreamSynchronize(NULL));
		else
			WORKS(cuCtxSynchronize());
		hold_begin(&hold);
		assert_int_equal(words[0], 2 * turn);
		words[0] = 2 * turn;
		hold_end(&hold);
		WORKS(cuCtxSynchronize());
		WORKS(cuMemsetD32_v2(hold.word, 0, 1));
		WORKS(cuCtxSynchronize());
	}
	hold_free(&hold);
	mirrored_release(words);
}

/* While a kernel of another stream has yet to write the memory. */
void test_prefetch_other(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES);
	struct hold hold;

	(void)state;
	hold_make(&hold);
	words_fill(words, WORDS, 0);
	mirrored_launch(words, WORDS, NULL);
	WORKS(cuCtxSynchronize());
	hold_begin(&hold);
	mirrored_launch(words, WORDS, hold.stream);
	WORKS(cuMemPrefetchAsync((uintptr_t)words, BYTES, CU_DEVICE_CPU, hold.other));
	WORKS(cuStreamSynchronize(hold.other));
	hold_end(&hold);
	WORKS(cuCtxSynchronize());
	words_check(words, WORDS, 2);
	hold_free(&hold);
	mirrored_release(words);
}

struct launches {
	uint32_t *words;
	bool ends;
	bool has_failed;
};

/* Each sends up what was touched, and takes all other memory away. */
static void *launches_make(void *argument)
{
	struct launches *launches = argument;
	uint32_t *words = launches->words;
	CUdeviceptr to = (uintptr_t)words;
	void *parameters[] = {&to};

	launches->has_failed = cuCtxSetCurrent(context);
	while (!launches->has_failed && !__atomic_load_n(&launches->ends, __ATOMIC_ACQUIRE)) {
		words[0] = 5;
		launches->has_failed = cuLaunchKernel(increment, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL) ||
				       cuCtxSynchronize() || words[0] != 6;
	}
	return NULL;
}

/* A module's image lies in such memory, and is longer than the window takes at a time. */
void test_image(void **state)
{
	struct launches launches = {.words = mirrored_allocate(BYTES)};
	char *image = (char *)mirrored_allocate(BYTES);
	pthread_t thread;

	(void)state;
	memset(image, ' ', BYTES);
	memcpy(image, increment_image, sizeof(increment_image) - 1);
	image[BYTES - 1] = 0;
	assert_int_equal(pthread_create(&thread, NULL, launches_make, &launches), 0);
	for (uint32_t i = 0; i < LOADS; i++) {
		CUmodule module;

		WORKS(cuModuleLoadData(&module, image));
		WORKS(cuModuleUnload(module));
	}
	__atomic_store_n(&launches.ends, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(launches.has_failed);
	mirrored_release((uint32_t *)image);
	mirrored_release(launches.words);
}
