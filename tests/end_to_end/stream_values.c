/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams that wait for words of memory and write them, and attributes of streams, with any libcuda.so.1. Run by
 * test_streams.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "stream_calls.h"

CUresult cuStreamWaitValue32(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned int flags);
CUresult cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned int flags);
CUresult cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned int flags);
CUresult cuStreamWriteValue32(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned int flags);
CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned int flags);
CUresult cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned int flags);
CUresult cuStreamBatchMemOp_v2(CUstream stream, unsigned int count, CUstreamBatchMemOpParams *operations,
			       unsigned int flags);
CUresult cuStreamSetAttribute(CUstream stream, CUstreamAttrID attribute, const CUstreamAttrValue *value);
CUresult cuStreamGetAttribute(CUstream stream, CUstreamAttrID attribute, CUstreamAttrValue *value);
CUresult cuStreamCopyAttributes(CUstream to, CUstream from);
CUresult cuCtxRecordEvent(CUcontext context, CUevent event);
CUresult cuCtxWaitEvent(CUcontext context, CUevent event);
CUresult cuEventCreate(CUevent *event, unsigned int flags);
CUresult cuEventQuery(CUevent event);
CUresult cuEventDestroy_v2(CUevent event);

CUresult cuGraphCreate(CUgraph *graph, unsigned int flags);
CUresult cuGraphAddBatchMemOpNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
				  const CUDA_BATCH_MEM_OP_NODE_PARAMS *batch);
CUresult cuGraphBatchMemOpNodeGetParams(CUgraphNode node, CUDA_BATCH_MEM_OP_NODE_PARAMS *batch);
CUresult cuGraphBatchMemOpNodeSetParams(CUgraphNode node, const CUDA_BATCH_MEM_OP_NODE_PARAMS *batch);
CUresult cuGraphExecBatchMemOpNodeSetParams(CUgraphExec exec, CUgraphNode node,
					    const CUDA_BATCH_MEM_OP_NODE_PARAMS *batch);
CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static CUcontext context;
static CUstream first, second;
static CUdeviceptr words;	/* on the device */
static volatile uint32_t *flag; /* of the program */
static CUdeviceptr flag_address;

static int setup(void **state)
{
	void *pinned;

	(void)state;
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	    cuStreamCreate(&first, CU_STREAM_NON_BLOCKING) || cuStreamCreate(&second, CU_STREAM_NON_BLOCKING) ||
	    cuMemAlloc_v2(&words, 64) || cuMemHostAlloc(&pinned, 4096, CU_MEMHOSTALLOC_DEVICEMAP) ||
	    cuMemHostGetDevicePointer_v2(&flag_address, pinned, 0))
		return 1;
	flag = pinned;
	return 0;
}

static uint64_t word_read(unsigned int bytes)
{
	uint64_t value = 0;

	WORKS(cuMemcpyDtoH_v2(&value, words, bytes));
	return value;
}

static void words_clear(void)
{
	WORKS(cuMemsetD8Async(words, 0, 64, first));
	WORKS(cuStreamSynchronize(first));
}

static void test_program_lets_go(void **state)
{
	(void)state;
	words_clear();
	*flag = 0;
	WORKS(cuStreamWaitValue32_v2(first, flag_address, 3, CU_STREAM_WAIT_VALUE_EQ));
	WORKS(cuStreamWriteValue32_v2(first, words, 7, 0));
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	assert_int_equal(cuStreamQuery(first), CUDA_ERROR_NOT_READY);
	*flag = 3;
	WORKS(cuStreamSynchronize(first));
	assert_int_equal(word_read(4), 7);
	WORKS(cuStreamWriteValue32_v2(first, flag_address, 11, 0));
	WORKS(cuStreamSynchronize(first));
	assert_int_equal(*flag, 11);
}

static void test_stream_lets_go(void **state)
{
	(void)state;
	words_clear();
	WORKS(cuStreamWaitValue64_v2(first, words, 1ull << 40, CU_STREAM_WAIT_VALUE_GEQ));
	WORKS(cuStreamWriteValue64_v2(first, words + 8, 5, 0));
	WORKS(cuStreamWriteValue64_v2(second, words, (1ull << 40) + 1, 0));
	WORKS(cuStreamSynchronize(first));
	assert_true(word_read(8) == (1ull << 40) + 1);
}

static void test_batch(void **state)
{
	CUstreamBatchMemOpParams operations[3] = {0};

	(void)state;
	words_clear();
	operations[0].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	operations[0].writeValue.address = words;
	operations[0].writeValue.value = 9;
	operations[1].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
	operations[1].waitValue.address = words;
	operations[1].waitValue.value = 9;
	operations[1].waitValue.flags = CU_STREAM_WAIT_VALUE_EQ;
	operations[2] = operations[0];
	operations[2].writeValue.value = 10;
	WORKS(cuStreamBatchMemOp_v2(first, 3, operations, 0));
	WORKS(cuStreamSynchronize(first));
	assert_int_equal(word_read(4), 10);
	assert_int_equal(cuStreamBatchMemOp_v2(first, 257, operations, 0), CUDA_ERROR_INVALID_VALUE);
	/* Driver 580 itself crashes on what is not there, here and below. */
	if (!getenv("VGPU_NATIVE"))
		assert_int_equal(cuStreamBatchMemOp_v2(first, 1, NULL, 0), CUDA_ERROR_INVALID_VALUE);
}

/* What they answer is the driver's choice; that they answer, and do nothing if they say so, is not. */
static void test_forms_of_before(void **state)
{
	CUresult result;

	(void)state;
	words_clear();
	result = cuStreamWriteValue32(first, words, 4, 0);
	assert_true(result == CUDA_SUCCESS || result == CUDA_ERROR_NOT_SUPPORTED);
	WORKS(cuStreamSynchronize(first));
	assert_int_equal(word_read(4), result ? 0 : 4);
	assert_int_equal(cuStreamWaitValue32(first, words, 0, CU_STREAM_WAIT_VALUE_GEQ), result);
	WORKS(cuStreamSynchronize(first));
}

static void test_attributes(void **state)
{
	CUstreamAttrValue value = {.syncPolicy = CU_SYNC_POLICY_BLOCKING_SYNC}, got;

	(void)state;
	WORKS(cuStreamSetAttribute(first, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &value));
	memset(&got, 0, sizeof(got));
	WORKS(cuStreamGetAttribute(first, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &got));
	assert_int_equal(got.syncPolicy, CU_SYNC_POLICY_BLOCKING_SYNC);
	WORKS(cuStreamGetAttribute(second, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &got));
	/* Driver 580 says -1 where nothing was set. */
	assert_int_not_equal(got.syncPolicy, CU_SYNC_POLICY_BLOCKING_SYNC);
	WORKS(cuStreamCopyAttributes(second, first));
	WORKS(cuStreamGetAttribute(second, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &got));
	assert_int_equal(got.syncPolicy, CU_SYNC_POLICY_BLOCKING_SYNC);
	WORKS(cuStreamGetAttribute(first, CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN, &got));
	assert_int_equal(got.memSyncDomain, 0);
	assert_int_not_equal(cuStreamGetAttribute(first, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &got), CUDA_SUCCESS);
	if (!getenv("VGPU_NATIVE"))
		assert_int_not_equal(cuStreamSetAttribute(first, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, NULL),
				     CUDA_SUCCESS);
}

static void test_context_events(void **state)
{
	CUevent event;
	CUresult result;

	(void)state;
	words_clear();
	*flag = 0;
	WORKS(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	WORKS(cuStreamWaitValue32_v2(first, flag_address, 1, CU_STREAM_WAIT_VALUE_EQ));
	WORKS(cuStreamWriteValue32_v2(first, words, 6, 0));
	result = cuCtxRecordEvent(context, event);
	/* Drivers before 12.5. */
	if (result == CUDA_ERROR_NOT_SUPPORTED) {
		*flag = 1;
		skip();
	}
	WORKS(result);
	assert_int_equal(cuEventQuery(event), CUDA_ERROR_NOT_READY);
	/* The other stream waits for the first one now. */
	WORKS(cuCtxWaitEvent(context, event));
	WORKS(cuStreamWriteValue32_v2(second, words + 8, 1, 0));
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	assert_int_equal(cuStreamQuery(second), CUDA_ERROR_NOT_READY);
	*flag = 1;
	WORKS(cuStreamSynchronize(second));
	WORKS(cuEventQuery(event));
	assert_int_equal(word_read(4), 6);
	WORKS(cuCtxSynchronize());
	assert_int_equal(cuCtxRecordEvent(context, NULL), CUDA_ERROR_INVALID_HANDLE);
	WORKS(cuEventDestroy_v2(event));
}

static CUDA_BATCH_MEM_OP_NODE_PARAMS batch_of(CUstreamBatchMemOpParams *operations, unsigned int count)
{
	return (CUDA_BATCH_MEM_OP_NODE_PARAMS){.ctx = context, .count = count, .paramArray = operations};
}

static CUstreamBatchMemOpParams write_of(CUdeviceptr address, cuuint32_t value)
{
	return (CUstreamBatchMemOpParams){
		.writeValue = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32, .address = address, .value = value}};
}

/* Batches as nodes of graphs: made, told, changed; and those that a capture makes. */
static void test_nodes(void **state)
{
	CUstreamBatchMemOpParams operations[2] = {write_of(words, 21), write_of(words + 4, 22)};
	CUDA_BATCH_MEM_OP_NODE_PARAMS batch = batch_of(operations, 2), told;
	CUgraphNode node, captured;
	CUgraphExec exec, other;
	size_t count = 1;
	CUgraph graph;

	(void)state;
	words_clear();
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddBatchMemOpNode(&node, graph, NULL, 0, &batch));
	operations[0].writeValue.value = 99; /* the node has its own copy */
	WORKS(cuGraphBatchMemOpNodeGetParams(node, &told));
	assert_int_equal(told.count, 2);
	assert_int_equal(told.paramArray[0].writeValue.value, 21);
	assert_int_equal(told.paramArray[1].writeValue.address, words + 4);
	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	WORKS(cuGraphLaunch(exec, first));
	WORKS(cuStreamSynchronize(first));
	assert_int_equal(word_read(8), 22ull << 32 | 21);
	operations[0] = write_of(words, 31);
	WORKS(cuGraphExecBatchMemOpNodeSetParams(exec, node, &batch));
	operations[0] = write_of(words, 41);
	WORKS(cuGraphBatchMemOpNodeSetParams(node, &batch));
	WORKS(cuGraphInstantiateWithFlags(&other, graph, 0));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphLaunch(exec, first));
	WORKS(cuStreamSynchronize(first));
	assert_int_equal(word_read(4), 31);
	WORKS(cuGraphLaunch(other, first));
	WORKS(cuStreamSynchronize(first));
	assert_int_equal(word_read(4), 41);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphExecDestroy(other));

	WORKS(cuStreamBeginCapture_v2(first, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuStreamBatchMemOp_v2(first, 2, operations, 0));
	WORKS(cuStreamEndCapture(first, &graph));
	WORKS(cuGraphGetNodes(graph, &captured, &count));
	assert_int_equal(count, 1);
	WORKS(cuGraphBatchMemOpNodeGetParams(captured, &told));
	assert_int_equal(told.count, 2);
	assert_int_equal(told.paramArray[0].writeValue.value, 41);
	WORKS(cuGraphDestroy(graph));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program_lets_go), cmocka_unit_test(test_stream_lets_go),
		cmocka_unit_test(test_batch),		cmocka_unit_test(test_forms_of_before),
		cmocka_unit_test(test_attributes),	cmocka_unit_test(test_context_events),
		cmocka_unit_test(test_nodes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
