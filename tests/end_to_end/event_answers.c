/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether events are complete, with any libcuda.so.1: the answer about an earlier recording is not taken for a later
 * one's, whoever records. Run by test_streams.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"

CUresult cuEventSynchronize(CUevent event);
CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned int flags);
CUresult cuCtxRecordEvent(CUcontext context, CUevent event);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static CUcontext context;
static CUstream stream;
static CUdeviceptr memory;
static int is_open;

static int setup(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuMemAlloc_v2(&memory, 4096);
}

static void pause_briefly(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	nanosleep(&pause, NULL);
}

/* Keeps a stream until the gate is opened. */
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

/* The event is recorded behind the gate, which is shut. */
static void expect_behind_gate(CUevent event)
{
	for (int i = 0; i < 3; i++)
		assert_int_equal(cuEventQuery(event), CUDA_ERROR_NOT_READY);
	gate_set(1);
	WORKS(cuEventSynchronize(event));
	WORKS(cuEventQuery(event));
	WORKS(cuStreamSynchronize(stream));
}

static CUevent event_complete(void)
{
	CUevent event;

	WORKS(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	WORKS(cuEventQuery(event));
	WORKS(cuEventRecord(event, stream));
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuEventQuery(event));
	return event;
}

static void test_recorded_again(void **state)
{
	CUevent event = event_complete();

	(void)state;
	for (int i = 0; i < 3; i++) {
		gate_set(0);
		WORKS(cuLaunchHostFunc(stream, wait_for_gate, NULL));
		WORKS(cuEventRecord(event, stream));
		expect_behind_gate(event);
	}
	WORKS(cuEventDestroy_v2(event));
}

static CUgraphExec exec_of(CUgraph graph)
{
	CUgraphExec exec;

	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	WORKS(cuGraphDestroy(graph));
	return exec;
}

/* Each launch records it. */
static void launches_check(CUgraphExec exec, CUevent event)
{
	for (int i = 0; i < 3; i++) {
		gate_set(0);
		WORKS(cuGraphLaunch(exec, stream));
		expect_behind_gate(event);
	}
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuEventDestroy_v2(event));
}

static void test_node(void **state)
{
	const CUDA_HOST_NODE_PARAMS host = {.fn = wait_for_gate};
	CUevent event = event_complete();
	CUgraphNode gate, record;
	CUgraph graph;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddHostNode(&gate, graph, NULL, 0, &host));
	WORKS(cuGraphAddEventRecordNode(&record, graph, &gate, 1, event));
	launches_check(exec_of(graph), event);
}

/* Of a node whose event is only named when the graph is executable. */
static void test_node_of_another(void **state)
{
	const CUDA_HOST_NODE_PARAMS host = {.fn = wait_for_gate};
	CUevent event = event_complete(), first = event_complete();
	CUgraphNode gate, record;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddHostNode(&gate, graph, NULL, 0, &host));
	WORKS(cuGraphAddEventRecordNode(&record, graph, &gate, 1, first));
	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	WORKS(cuGraphExecEventRecordNodeSetEvent(exec, record, event));
	WORKS(cuGraphDestroy(graph));
	launches_check(exec, event);
	WORKS(cuEventDestroy_v2(first));
}

static void test_captured(void **state)
{
	CUevent event = event_complete();
	CUgraph graph = NULL;

	(void)state;
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuLaunchHostFunc(stream, wait_for_gate, NULL));
	WORKS(cuEventRecordWithFlags(event, stream, CU_EVENT_RECORD_EXTERNAL));
	WORKS(cuStreamEndCapture(stream, &graph));
	launches_check(exec_of(graph), event);
}

static void test_context(void **state)
{
	CUevent event = event_complete();

	(void)state;
	for (int i = 0; i < 2; i++) {
		gate_set(0);
		WORKS(cuLaunchHostFunc(stream, wait_for_gate, NULL));
		WORKS(cuCtxRecordEvent(context, event));
		expect_behind_gate(event);
	}
	WORKS(cuEventDestroy_v2(event));
}

/* test_streams.py looks at how many of these reached the host. */
static void test_many(void **state)
{
	CUevent event = event_complete();

	(void)state;
	for (int i = 0; i < 100000; i++) {
		WORKS(cuEventQuery(event));
		WORKS(cuEventSynchronize(event));
	}
	WORKS(cuEventDestroy_v2(event));
	assert_int_equal(cuEventQuery(NULL), CUDA_ERROR_INVALID_HANDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded_again),	cmocka_unit_test(test_node),
		cmocka_unit_test(test_node_of_another), cmocka_unit_test(test_captured),
		cmocka_unit_test(test_context),		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
