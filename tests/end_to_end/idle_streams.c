/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether streams are idle, with any libcuda.so.1: what was known of a stream is not what is told after more was issued
 * to it, whoever did. Run by test_streams.py, which counts how often the host was asked.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static const char fault_image[] = ".version 6.4\n.target sm_50\n.address_size 64\n"
				  ".visible .entry fault()\n{\n"
				  "	.reg .b64 %rd<2>;\n"
				  "	mov.u64 %rd1, 16;\n"
				  "	st.global.u64 [%rd1], %rd1;\n"
				  "	ret;\n}\n";

static CUcontext context;
static CUdeviceptr memory;
static int is_open;

static int setup(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuMemAlloc_v2(&memory, 4096);
}

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void wait_for_gate(void *data)
{
	(void)data;
	while (!__atomic_load_n(&is_open, __ATOMIC_ACQUIRE))
		pause_briefly();
}

static void gate_set(int open)
{
	__atomic_store_n(&is_open, open, __ATOMIC_RELEASE);
}

static CUstream stream_idle(void)
{
	CUstream stream;

	WORKS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	WORKS(cuStreamQuery(stream));
	WORKS(cuMemsetD8Async(memory, 1, 4096, stream));
	WORKS(cuStreamSynchronize(stream));
	for (int i = 0; i < 100; i++) {
		WORKS(cuStreamSynchronize(stream));
		WORKS(cuStreamQuery(stream));
	}
	return stream;
}

static void expect_busy(CUstream stream)
{
	for (int i = 0; i < 3; i++)
		assert_int_equal(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
}

static void expect_idle_at_last(CUstream stream)
{
	gate_set(1);
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuStreamQuery(stream));
}

static void test_more_is_issued(void **state)
{
	CUstream stream = stream_idle(), other = stream_idle();
	CUevent event;

	(void)state;
	WORKS(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	for (int i = 0; i < 3; i++) {
		gate_set(0);
		WORKS(cuLaunchHostFunc(stream, wait_for_gate, NULL));
		expect_busy(stream);
		WORKS(cuStreamQuery(other));
		/* By what it waits for alone. */
		WORKS(cuEventRecord(event, stream));
		WORKS(cuStreamWaitEvent(other, event, 0));
		expect_busy(other);
		expect_idle_at_last(other);
		expect_idle_at_last(stream);
	}
	WORKS(cuEventDestroy_v2(event));
	WORKS(cuStreamDestroy_v2(other));
	WORKS(cuStreamDestroy_v2(stream));
}

static void *issue_elsewhere(void *stream)
{
	return (void *)(intptr_t)(cuCtxSetCurrent(context) || cuLaunchHostFunc(stream, wait_for_gate, NULL));
}

static void test_another_thread_issues(void **state)
{
	CUstream stream = stream_idle();
	pthread_t thread;
	void *result;

	(void)state;
	for (int i = 0; i < 3; i++) {
		gate_set(0);
		assert_int_equal(pthread_create(&thread, NULL, issue_elsewhere, stream), 0);
		pthread_join(thread, &result);
		assert_null(result);
		expect_busy(stream);
		expect_idle_at_last(stream);
	}
	WORKS(cuStreamDestroy_v2(stream));
}

/* What synchronises is another thread than what issues. */
static void *synchronise_elsewhere(void *stream)
{
	return (void *)(intptr_t)(cuCtxSetCurrent(context) || cuStreamSynchronize(stream));
}

static void test_another_thread_synchronises(void **state)
{
	CUstream stream = stream_idle();
	pthread_t thread;
	void *result;

	(void)state;
	for (int i = 0; i < 3; i++) {
		gate_set(0);
		WORKS(cuLaunchHostFunc(stream, wait_for_gate, NULL));
		assert_int_equal(pthread_create(&thread, NULL, synchronise_elsewhere, stream), 0);
		expect_busy(stream);
		gate_set(1);
		pthread_join(thread, &result);
		assert_null(result);
		WORKS(cuStreamQuery(stream));
	}
	WORKS(cuStreamDestroy_v2(stream));
}

static void test_captured(void **state)
{
	CUstream stream = stream_idle();
	CUgraph graph;

	(void)state;
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuStreamDestroy_v2(stream));
}

/* The last one: the context is of no use afterwards. That work elsewhere has failed is told in the end. */
static void test_failure_elsewhere(void **state)
{
	CUstream stream = stream_idle(), other = stream_idle();
	CUfunction function;
	CUmodule module;
	CUresult result = CUDA_SUCCESS;

	(void)state;
	WORKS(cuModuleLoadData(&module, fault_image));
	WORKS(cuModuleGetFunction(&function, module, "fault"));
	WORKS(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, other, NULL, NULL));
	for (int i = 0; i < 20000 && !result; i++) {
		pause_briefly();
		result = cuStreamSynchronize(stream);
	}
	assert_int_equal(result, CUDA_ERROR_ILLEGAL_ADDRESS);
	for (int i = 0; i < 3; i++)
		assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_more_is_issued),
		cmocka_unit_test(test_another_thread_issues),
		cmocka_unit_test(test_another_thread_synchronises),
		cmocka_unit_test(test_captured),
		cmocka_unit_test(test_failure_elsewhere),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
