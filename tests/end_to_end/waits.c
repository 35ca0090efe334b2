/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits for what, and whom that holds up, with any libcuda.so.1. Run by test_streams.py.
 *
 * Work is held back by host functions at gates, which open by themselves in the end: a call that waits where it should
 * not is a failure, not a hang. What natively takes place in the driver alone, such as whether a thread that frees
 * memory holds up others, is only reported there.
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

#include "cuda_abi.h"
#include "graph_calls.h"

CUresult cuEventSynchronize(CUevent event);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)
#define BYTES	    4096u
/* For what is not to happen. */
#define MILLISECONDS 100
/* For what is to happen, on a machine that is busy. */
#define GATE_MILLISECONDS 15000

static CUcontext context;
static CUstream stream, other_stream;
static CUdeviceptr memory, other_memory;
static uint8_t *pinned;

static int setup(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) ||
	       cuStreamCreate(&other_stream, CU_STREAM_NON_BLOCKING) || cuMemAlloc_v2(&memory, BYTES) ||
	       cuMemAlloc_v2(&other_memory, BYTES) || cuMemHostAlloc((void **)&pinned, BYTES, 0);
}

static void milliseconds_sleep(int milliseconds)
{
	nanosleep(&(struct timespec){.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L}, NULL);
}

struct gate {
	atomic_bool is_entered;
	atomic_bool is_open;
	atomic_bool has_expired;
};

static void gate_wait(void *data)
{
	struct gate *gate = data;

	gate->is_entered = true;
	for (int i = 0; i < GATE_MILLISECONDS && !gate->is_open; i++)
		milliseconds_sleep(1);
	if (!gate->is_open)
		gate->has_expired = true;
}

static void gate_enter(const struct gate *gate)
{
	while (!gate->is_entered)
		milliseconds_sleep(1);
}

/* What came before it has not waited for the gate. */
static void gate_open(struct gate *gate)
{
	gate->is_open = true;
	assert_false(gate->has_expired);
}

/* The same, where natively it is the driver's own affair. */
static void gate_open_for_us(struct gate *gate)
{
	gate->is_open = true;
	if (gate->has_expired && getenv("VGPU_NATIVE"))
		print_message("a thread that frees memory has held up another one\n");
	else
		assert_false(gate->has_expired);
}

/* A thread that makes one call. */
struct caller {
	pthread_t thread;
	CUresult (*call)(void *argument);
	void *argument;
	atomic_bool has_begun;
	atomic_bool has_returned;
	CUresult result;
	uint8_t seen; /* in the pinned memory, when it has returned */
};

static void *caller_run(void *argument)
{
	struct caller *caller = argument;

	(void)cuCtxSetCurrent(context);
	caller->has_begun = true;
	caller->result = caller->call(caller->argument);
	caller->seen = pinned[0];
	caller->has_returned = true;
	return NULL;
}

/* Is most likely in the call when this returns. */
static void caller_start(struct caller *caller)
{
	assert_int_equal(pthread_create(&caller->thread, NULL, caller_run, caller), 0);
	while (!caller->has_begun)
		milliseconds_sleep(1);
	milliseconds_sleep(MILLISECONDS);
}

static void caller_end(struct caller *caller)
{
	pthread_join(caller->thread, NULL);
	assert_int_equal(caller->result, CUDA_SUCCESS);
	assert_true(caller->has_returned);
}

static CUresult context_synchronize(void *argument)
{
	(void)argument;
	return cuCtxSynchronize();
}

static CUresult event_synchronize(void *argument)
{
	return cuEventSynchronize(argument);
}

static CUresult memory_free(void *argument)
{
	return cuMemFree_v2(*(CUdeviceptr *)argument);
}

static CUresult host_free(void *argument)
{
	return cuMemFreeHost(argument);
}

/* Until the gate is opened 'in' has work to do, then the pinned memory gets 7. */
static void copy_hold(struct gate *gate, CUstream in)
{
	pinned[0] = 1;
	WORKS(cuMemsetD8Async(memory, 7, BYTES, in));
	WORKS(cuLaunchHostFunc(in, gate_wait, gate));
	WORKS(cuMemcpyDtoHAsync_v2(pinned, memory, BYTES, in));
}

/* The work of a stream that is destroyed is the context's. */
static void test_destroyed_stream(void **state)
{
	struct gate first = {0}, second = {0};
	struct caller caller = {.call = context_synchronize};
	CUstream own;
	CUevent event;

	(void)state;
	WORKS(cuStreamCreate(&own, CU_STREAM_NON_BLOCKING));
	WORKS(cuLaunchHostFunc(other_stream, gate_wait, &first));
	gate_enter(&first);
	copy_hold(&second, own);
	WORKS(cuStreamDestroy_v2(own));
	caller_start(&caller);
	WORKS(cuEventCreate(&event, 0));
	WORKS(cuEventDestroy_v2(event));
	WORKS(cuStreamQuery(stream));
	gate_open(&first);
	WORKS(cuStreamSynchronize(other_stream));
	milliseconds_sleep(MILLISECONDS);
	assert_false(caller.has_returned);
	gate_open(&second);
	caller_end(&caller);
	assert_int_equal(caller.seen, 7);
}

/* Many are destroyed, one after the other, each with work in it. */
static void test_destroyed_streams(void **state)
{
	struct gate gate = {0};
	struct caller caller = {.call = context_synchronize};
	CUstream own;

	(void)state;
	WORKS(cuStreamCreate(&own, CU_STREAM_NON_BLOCKING));
	copy_hold(&gate, own);
	for (int i = 0; i < 200; i++) {
		WORKS(cuStreamDestroy_v2(own));
		WORKS(cuStreamCreate(&own, CU_STREAM_NON_BLOCKING));
		WORKS(cuMemsetD8Async(other_memory, 1, BYTES, own));
	}
	WORKS(cuStreamDestroy_v2(own));
	caller_start(&caller);
	WORKS(cuStreamQuery(stream));
	assert_false(caller.has_returned);
	gate_open(&gate);
	caller_end(&caller);
	assert_int_equal(caller.seen, 7);
	WORKS(cuCtxSynchronize());
}

/* That a thread waits for the context is nothing that other threads' streams wait for. */
static void blocking_streams_check(void)
{
	struct gate gate = {0};
	struct caller caller = {.call = context_synchronize};
	CUstream first, second;

	WORKS(cuStreamCreate(&first, 0));
	WORKS(cuStreamCreate(&second, 0));
	copy_hold(&gate, first);
	caller_start(&caller);
	WORKS(cuMemsetD8Async(other_memory, 1, BYTES, second));
	WORKS(cuStreamSynchronize(second));
	assert_false(caller.has_returned);
	gate_open(&gate);
	caller_end(&caller);
	assert_int_equal(caller.seen, 7);
	WORKS(cuStreamDestroy_v2(first));
	WORKS(cuStreamDestroy_v2(second));
}

static void test_blocking_streams(void **state)
{
	uint8_t bytes[16];

	(void)state;
	blocking_streams_check();
	/* Also where the default stream was used, and is idle. */
	WORKS(cuMemcpyDtoH_v2(bytes, memory, sizeof(bytes)));
	blocking_streams_check();
	WORKS(cuMemsetD8Async(memory, 1, BYTES, NULL));
	WORKS(cuCtxSynchronize());
	blocking_streams_check();
}

static void test_default_stream(void **state)
{
	struct gate gate = {0};
	struct caller caller = {.call = context_synchronize};

	(void)state;
	copy_hold(&gate, NULL);
	caller_start(&caller);
	WORKS(cuStreamQuery(stream));
	milliseconds_sleep(MILLISECONDS);
	assert_false(caller.has_returned);
	gate_open(&gate);
	caller_end(&caller);
	assert_int_equal(caller.seen, 7);
}

/* false: the wait had not begun when the event was recorded again, on a machine that is very busy. */
static bool recorded_again_check(void)
{
	struct gate first = {0}, second = {0};
	struct caller caller = {.call = event_synchronize};
	bool has_begun;
	CUevent event;

	WORKS(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	copy_hold(&first, stream);
	WORKS(cuEventRecord(event, stream));
	caller.argument = event;
	caller_start(&caller);
	WORKS(cuLaunchHostFunc(other_stream, gate_wait, &second));
	WORKS(cuEventRecord(event, other_stream));
	milliseconds_sleep(MILLISECONDS);
	assert_false(caller.has_returned);
	gate_open(&first);
	caller_end(&caller);
	assert_int_equal(caller.seen, 7);
	has_begun = !second.has_expired;
	if (has_begun)
		assert_int_equal(cuEventQuery(event), CUDA_ERROR_NOT_READY);
	second.is_open = true;
	WORKS(cuEventSynchronize(event));
	WORKS(cuEventDestroy_v2(event));
	return has_begun;
}

/* Who waits for an event waits for what it was recorded behind when the wait began. */
static void test_event_recorded_again(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		if (recorded_again_check())
			return;
	fail_msg("no wait ended before the event's second recording");
}

/* Memory is freed when the device has ended what it was given before, whatever memory that is in. */
static void free_check(CUresult (*call)(void *argument), void *argument)
{
	struct gate gate = {0};
	struct caller caller = {.call = call, .argument = argument};

	copy_hold(&gate, stream);
	caller_start(&caller);
	assert_false(caller.has_returned);
	WORKS(cuStreamQuery(other_stream));
	gate_open_for_us(&gate);
	caller_end(&caller);
	assert_int_equal(caller.seen, 7);
}

static void test_memory_free(void **state)
{
	CUdeviceptr freed;
	void *host;

	(void)state;
	WORKS(cuMemAlloc_v2(&freed, BYTES));
	free_check(memory_free, &freed);
	WORKS(cuMemHostAlloc(&host, BYTES, 0));
	free_check(host_free, host);
	/* Also where the device was at rest before. */
	WORKS(cuMemAlloc_v2(&freed, BYTES));
	WORKS(cuCtxSynchronize());
	free_check(memory_free, &freed);
}

/* What is freed can be had again, whoever has work meanwhile. */
static void test_free_and_allocate(void **state)
{
	struct gate gate = {0};
	CUdeviceptr freed;

	(void)state;
	WORKS(cuCtxSynchronize());
	for (int i = 0; i < 1000; i++) {
		WORKS(cuMemAlloc_v2(&freed, 1u << 20));
		if (i % 10 == 0)
			WORKS(cuMemsetD8Async(freed, 1, BYTES, stream));
		WORKS(cuMemFree_v2(freed));
	}
	assert_int_equal(cuMemFree_v2(freed), CUDA_ERROR_INVALID_VALUE);
	gate.is_open = true;
	WORKS(cuLaunchHostFunc(stream, gate_wait, &gate));
	WORKS(cuCtxSynchronize());
}

/* A thread that waits so holds up nobody's work in another context. */
static void elsewhere_check(CUresult (*call)(void *argument), void *argument)
{
	struct gate gate = {0};
	struct caller caller = {.call = call, .argument = argument};
	static uint8_t bytes[BYTES];
	CUcontext elsewhere;
	CUstream own;
	CUdeviceptr words;

	WORKS(cuCtxCreate_v2(&elsewhere, 0, 0));
	WORKS(cuStreamCreate(&own, CU_STREAM_NON_BLOCKING));
	WORKS(cuMemAlloc_v2(&words, BYTES));
	WORKS(cuCtxSetCurrent(context));
	copy_hold(&gate, stream);
	WORKS(cuCtxSetCurrent(elsewhere));
	caller_start(&caller);
	WORKS(cuMemsetD8Async(words, 5, BYTES, own));
	WORKS(cuMemcpyDtoHAsync_v2(bytes, words, BYTES, own));
	WORKS(cuStreamSynchronize(own));
	assert_int_equal(bytes[BYTES - 1], 5);
	gate_open_for_us(&gate);
	caller_end(&caller);
	assert_int_equal(caller.seen, 7);
	WORKS(cuCtxDestroy_v2(elsewhere));
	WORKS(cuCtxSetCurrent(context));
}

static void test_free_elsewhere(void **state)
{
	CUdeviceptr freed;
	void *host;

	(void)state;
	WORKS(cuMemAlloc_v2(&freed, BYTES));
	elsewhere_check(memory_free, &freed);
	WORKS(cuMemHostAlloc(&host, BYTES, 0));
	elsewhere_check(host_free, host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_destroyed_stream),     cmocka_unit_test(test_destroyed_streams),
		cmocka_unit_test(test_blocking_streams),     cmocka_unit_test(test_default_stream),
		cmocka_unit_test(test_event_recorded_again), cmocka_unit_test(test_memory_free),
		cmocka_unit_test(test_free_and_allocate),    cmocka_unit_test(test_free_elsewhere),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
