/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_captures.h"

CUcontext context;
CUstream stream, side;
CUevent fork_event, join_event;
CUdeviceptr first, second;

int setup(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuStreamCreate(&side, CU_STREAM_NON_BLOCKING) ||
	       cuEventCreate(&fork_event, CU_EVENT_DISABLE_TIMING) ||
	       cuEventCreate(&join_event, CU_EVENT_DISABLE_TIMING) || cuMemAlloc_v2(&first, BYTES) ||
	       cuMemAlloc_v2(&second, BYTES);
}

struct info info_of(CUstream captured)
{
	struct info info = {.count = 99};

	WORKS(cuStreamGetCaptureInfo_v3(captured, &info.status, &info.id, &info.graph, &info.nodes, &info.edges,
					&info.count));
	return info;
}

void begin(void)
{
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
}

void fill(CUstream captured, CUdeviceptr to, unsigned char value)
{
	WORKS(cuMemsetD8Async(to, value, BYTES, captured));
}

void run(CUgraph graph)
{
	CUgraphExec exec = NULL;

	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuGraphExecDestroy(exec));
}

void bytes_expect(CUdeviceptr address, unsigned char value)
{
	unsigned char bytes[BYTES];

	WORKS(cuMemcpyDtoH_v2(bytes, address, BYTES));
	for (int i = 0; i < BYTES; i++)
		assert_int_equal(bytes[i], value);
}

void expect_type(CUgraphNode node, CUgraphNodeType wanted)
{
	CUgraphNodeType type;

	WORKS(cuGraphNodeGetType(node, &type));
	assert_int_equal(type, wanted);
}
