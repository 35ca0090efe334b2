/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host functions and callbacks in streams, with any libcuda.so.1. Run by test_streams.py; with the argument
 * "exit" it ends while a function runs and others wait, with "long" functions take longer than kernels may there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "stream_calls.h"

#define BYTES 65536u

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static CUcontext context;
static CUstream stream;

static int setup(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
}

static void milliseconds_sleep(int milliseconds)
{
	nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000L}, NULL);
}

/* A function that counts, and one that returns when it is let go. */
struct gate {
	atomic_bool is_entered;
	atomic_bool is_open;
	atomic_bool has_returned;
};

static void count(void *data)
{
	atomic_fetch_add((atomic_int *)data, 1);
}

static void gate_wait(void *data)
{
	struct gate *gate = data;

	gate->is_entered = true;
	while (!gate->is_open)
		milliseconds_sleep(1);
	gate->has_returned = true;
}

static void gate_enter(struct gate *gate)
{
	while (!gate->is_entered)
		milliseconds_sleep(1);
}

static void linger(void *data)
{
	milliseconds_sleep(50);
	count(data);
}

struct look {
	const uint8_t *bytes;
	int calls;
	int wrong;
};

static void look_at_bytes(void *data)
{
	struct look *look = data;

	look->calls++;
	for (size_t i = 0; i < BYTES; i++)
		look->wrong += look->bytes[i] != look->calls;
}

static void order_check(uint8_t *host)
{
	struct look look = {.bytes = host};
	CUdeviceptr device;

	memset(host, 0, BYTES);
	WORKS(cuMemAlloc_v2(&device, BYTES));
	for (int turn = 1; turn <= 7; turn++) {
		WORKS(cuMemsetD8Async(device, (unsigned char)turn, BYTES, stream));
		WORKS(cuMemcpyDtoHAsync_v2(host, device, BYTES, stream));
		WORKS(cuLaunchHostFunc(stream, look_at_bytes, &look));
	}
	WORKS(cuStreamSynchronize(stream));
	assert_int_equal(look.calls, 7);
	assert_int_equal(look.wrong, 0);
	WORKS(cuMemFree_v2(device));
}

static void test_order_pinned(void **state)
{
	void *host;

	(void)state;
	WORKS(cuMemHostAlloc(&host, BYTES, 0));
	order_check(host);
	WORKS(cuMemFreeHost(host));
}

/* A copy to memory that is not pinned is over when the call returns, so the function can look once only. */
static void test_order_pageable(void **state)
{
	uint8_t *host = calloc(1, BYTES);
	struct look look = {.bytes = host};
	CUdeviceptr device;

	(void)state;
	WORKS(cuMemAlloc_v2(&device, BYTES));
	WORKS(cuMemsetD8Async(device, 1, BYTES, stream));
	WORKS(cuMemcpyDtoHAsync_v2(host, device, BYTES, stream));
	WORKS(cuLaunchHostFunc(stream, look_at_bytes, &look));
	WORKS(cuStreamSynchronize(stream));
	assert_int_equal(look.calls, 1);
	assert_int_equal(look.wrong, 0);
	WORKS(cuMemFree_v2(device));
	free(host);
}

static void test_later_work_waits(void **state)
{
	struct gate gate = {0};
	atomic_int calls = 0;

	(void)state;
	WORKS(cuLaunchHostFunc(stream, gate_wait, &gate));
	WORKS(cuLaunchHostFunc(stream, count, &calls));
	gate_enter(&gate);
	milliseconds_sleep(20);
	assert_int_equal(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
	assert_int_equal(calls, 0);
	gate.is_open = true;
	WORKS(cuStreamSynchronize(stream));
	assert_true(gate.has_returned);
	assert_int_equal(calls, 1);
}

/* More than the stream has room for while nothing leaves it. */
static void test_many(void **state)
{
	struct gate gate = {0};
	atomic_int calls = 0;

	(void)state;
	WORKS(cuLaunchHostFunc(stream, gate_wait, &gate));
	for (int i = 0; i < 300; i++)
		WORKS(cuLaunchHostFunc(stream, count, &calls));
	gate.is_open = true;
	for (int i = 0; i < 2000; i++)
		WORKS(cuLaunchHostFunc(stream, count, &calls));
	WORKS(cuCtxSynchronize());
	assert_int_equal(calls, 2300);
}

/* Calls that wait for the function inside the driver. */
static void test_calls_that_wait(void **state)
{
	CUdeviceptr device;
	atomic_int calls = 0;

	(void)state;
	WORKS(cuMemAlloc_v2(&device, BYTES));
	WORKS(cuMemsetD8Async(device, 1, BYTES, stream));
	WORKS(cuLaunchHostFunc(stream, linger, &calls));
	WORKS(cuMemsetD8Async(device, 2, BYTES, stream));
	WORKS(cuMemFree_v2(device));
	WORKS(cuCtxSynchronize());
	assert_int_equal(calls, 1);
}

static void test_end_of_context(void **state)
{
	CUcontext other;
	CUstream own;
	atomic_int calls = 0;

	(void)state;
	WORKS(cuCtxCreate_v2(&other, 0, 0));
	WORKS(cuStreamCreate(&own, CU_STREAM_NON_BLOCKING));
	WORKS(cuLaunchHostFunc(own, linger, &calls));
	WORKS(cuCtxSynchronize());
	WORKS(cuLaunchHostFunc(own, linger, &calls));
	WORKS(cuStreamDestroy_v2(own));
	WORKS(cuCtxSynchronize());
	assert_int_equal(calls, 2);
	WORKS(cuCtxDestroy_v2(other));
	WORKS(cuCtxSetCurrent(context));
}

struct callback_look {
	CUstream stream;
	CUresult status;
	int calls;
};

static void callback_look(CUstream of, CUresult status, void *data)
{
	struct callback_look *look = data;

	look->stream = of;
	look->status = status;
	look->calls++;
}

static void test_callback(void **state)
{
	struct callback_look look = {.status = CUDA_ERROR_UNKNOWN};

	(void)state;
	WORKS(cuStreamAddCallback(stream, callback_look, &look, 0));
	WORKS(cuStreamSynchronize(stream));
	assert_int_equal(look.calls, 1);
	assert_int_equal(look.status, CUDA_SUCCESS);
	assert_ptr_equal(look.stream, stream);
	assert_int_equal(cuStreamAddCallback(stream, callback_look, &look, 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuLaunchHostFunc(stream, NULL, &look), CUDA_ERROR_INVALID_VALUE);
}

static void allocate(void *data)
{
	CUdeviceptr device;

	*(CUresult *)data = cuMemAlloc_v2(&device, BYTES);
}

static void test_calls_of_functions(void **state)
{
	CUresult result = CUDA_SUCCESS;

	(void)state;
	WORKS(cuLaunchHostFunc(stream, allocate, &result));
	WORKS(cuStreamSynchronize(stream));
	assert_int_equal(result, CUDA_ERROR_NOT_PERMITTED);
}

static void test_graph(void **state)
{
	struct callback_look look = {0};
	atomic_int calls = 0;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	WORKS(cuLaunchHostFunc(stream, count, &calls));
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	WORKS(cuGraphDestroy(graph));
	assert_int_equal(calls, 0);
	for (int turn = 1; turn <= 3; turn++) {
		WORKS(cuGraphLaunch(exec, stream));
		WORKS(cuStreamSynchronize(stream));
		assert_int_equal(calls, turn);
	}
	WORKS(cuGraphExecDestroy(exec));

	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	assert_int_equal(cuStreamAddCallback(stream, callback_look, &look, 0), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	WORKS(cuStreamSynchronize(stream));
	assert_int_equal(look.calls, 0);
}

/* The last one: an error ends a context, and with the real driver what the process can do. */
static void test_error(void **state)
{
	struct callback_look look = {0};
	struct gate gate = {0};
	CUdeviceptr nowhere = 8;
	void *parameters[] = {&nowhere};
	atomic_int calls = 0;
	CUfunction function;
	CUmodule module;

	(void)state;
	WORKS(cuModuleLoadData(&module, increment_image));
	WORKS(cuModuleGetFunction(&function, module, "increment"));
	/* All of it is in the stream before anything fails. */
	WORKS(cuLaunchHostFunc(stream, gate_wait, &gate));
	WORKS(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL));
	WORKS(cuStreamAddCallback(stream, callback_look, &look, 0));
	WORKS(cuLaunchHostFunc(stream, count, &calls));
	assert_int_equal(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
	gate.is_open = true;
	assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
	for (int i = 0; i < 30000 && !look.calls; i++)
		milliseconds_sleep(1);
	assert_int_equal(look.calls, 1);
	assert_int_equal(look.status, CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(calls, 0);
}

static int exit_early(void)
{
	static struct gate gate;
	static atomic_int calls;

	if (setup(NULL) || cuLaunchHostFunc(stream, gate_wait, &gate) || cuLaunchHostFunc(stream, count, &calls))
		return 1;
	gate_enter(&gate);
	return 0;
}

static void linger_long(void *data)
{
	for (int i = 0; i < 15; i++)
		milliseconds_sleep(100);
	count(data);
}

/* Two functions, work between them, and a call that waits inside the driver. */
static int long_functions(void)
{
	static atomic_int calls;
	CUdeviceptr device;

	if (setup(NULL) || cuMemAlloc_v2(&device, BYTES) || cuLaunchHostFunc(stream, linger_long, &calls) ||
	    cuMemsetD8Async(device, 1, BYTES, stream) || cuLaunchHostFunc(stream, linger_long, &calls) ||
	    cuMemsetD8Async(device, 1, BYTES, stream) || cuMemFree_v2(device) || cuStreamSynchronize(stream))
		return 1;
	return calls == 2 ? 0 : 1;
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_pinned),
		cmocka_unit_test(test_order_pageable),
		cmocka_unit_test(test_later_work_waits),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_calls_that_wait),
		cmocka_unit_test(test_end_of_context),
		cmocka_unit_test(test_callback),
		cmocka_unit_test(test_calls_of_functions),
		cmocka_unit_test(test_graph),
		cmocka_unit_test(test_error),
	};

	if (argument_count > 1 && strcmp(arguments[1], "exit") == 0)
		return exit_early();
	if (argument_count > 1 && strcmp(arguments[1], "long") == 0)
		return long_functions();
	return cmocka_run_group_tests(tests, setup, NULL);
}
