/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream capture and graphs through the driver API, with copies and fills only: says "ok", or the line that
 * failed and its result. Runs with any libcuda.so.1.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "driver.h"

/* What driver.h has not. */
#define GRAPH_FUNCTIONS(F)                                                                             \
	F(cuStreamBeginCapture_v2, (CUstream stream, CUstreamCaptureMode mode))                        \
	F(cuStreamEndCapture, (CUstream stream, CUgraph * graph))                                      \
	F(cuStreamGetCaptureInfo, (CUstream stream, CUstreamCaptureStatus * status, cuuint64_t * id))  \
	F(cuStreamWaitEvent, (CUstream stream, CUevent event, unsigned flags))                         \
	F(cuMemcpyDtoDAsync_v2, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))     \
	F(cuMemcpyDtoHAsync_v2, (void *to, CUdeviceptr from, size_t bytes, CUstream stream))           \
	F(cuMemsetD8Async, (CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream))       \
	F(cuGraphInstantiateWithFlags, (CUgraphExec * exec, CUgraph graph, unsigned long long flags))  \
	F(cuGraphInstantiateWithParams,                                                                \
	  (CUgraphExec * exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS * parameters))             \
	F(cuGraphClone, (CUgraph * clone, CUgraph graph))                                              \
	F(cuGraphGetNodes, (CUgraph graph, CUgraphNode * nodes, size_t * count))                       \
	F(cuGraphLaunch, (CUgraphExec exec, CUstream stream))                                          \
	F(cuGraphExecUpdate_v2, (CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo * info)) \
	F(cuGraphExecGetFlags, (CUgraphExec exec, cuuint64_t * flags))                                 \
	F(cuGraphExecDestroy, (CUgraphExec exec))                                                      \
	F(cuGraphDestroy, (CUgraph graph))                                                             \
	F(cuDeviceGraphMemTrim, (CUdevice device))

#define DECLARE(name, parameters) static CUresult(*name) parameters;
GRAPH_FUNCTIONS(DECLARE)

#define EXPECT(call, expected)                                                  \
	do {                                                                    \
		int result = (int)(call);                                       \
		if (result != (int)(expected)) {                                \
			printf("line %d: %s is %d\n", __LINE__, #call, result); \
			return 1;                                               \
		}                                                               \
	} while (0)
#define CHECK(call) EXPECT(call, CUDA_SUCCESS)

enum { BYTES = 100000 };

static struct driver driver;
static CUstream stream, side;
static CUevent fork_event, join_event;
static CUdeviceptr first, second;

/* First and second are filled side by side; then the start of second is copied from first. */
static int capture(unsigned char value, CUgraph *ret_graph)
{
	CHECK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	CHECK(driver.event_record(fork_event, stream));
	CHECK(cuStreamWaitEvent(side, fork_event, 0));
	CHECK(cuMemsetD8Async(first, value, BYTES, stream));
	CHECK(cuMemsetD8Async(second, (unsigned char)(value + 1), BYTES, side));
	CHECK(driver.event_record(join_event, side));
	CHECK(cuStreamWaitEvent(stream, join_event, 0));
	CHECK(cuMemcpyDtoDAsync_v2(second, first, BYTES / 2, stream));
	CHECK(cuStreamEndCapture(stream, ret_graph));
	return 0;
}

static int expect_bytes(unsigned char low, unsigned char high)
{
	static unsigned char bytes[BYTES];

	CHECK(driver.stream_synchronize(stream));
	CHECK(driver.copy_to_host(bytes, second, BYTES));
	for (int i = 0; i < BYTES; i++)
		EXPECT(bytes[i], i < BYTES / 2 ? low : high);
	return 0;
}

static int graphs(void)
{
	CUDA_GRAPH_INSTANTIATE_PARAMS parameters = {.flags = CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD,
						    .hUploadStream = stream};
	CUgraphExecUpdateResultInfo info;
	CUgraphExec exec, cloned;
	CUgraph graph, clone;
	cuuint64_t flags = 0;
	size_t count = 0;

	CHECK(driver.set_bytes(second, 0xff, BYTES));
	CHECK(driver.synchronize());
	CHECK(capture(1, &graph));
	CHECK(expect_bytes(0xff, 0xff)); /* nothing has run */
	CHECK(cuGraphInstantiateWithFlags(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
	CHECK(cuGraphExecGetFlags(exec, &flags));
	EXPECT(flags, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
	CHECK(cuGraphGetNodes(graph, NULL, &count));
	EXPECT(count, 3);
	CHECK(cuGraphClone(&clone, graph));
	CHECK(cuGraphDestroy(graph));
	for (int i = 0; i < 100; i++)
		CHECK(cuGraphLaunch(exec, stream));
	CHECK(expect_bytes(1, 2));
	CHECK(driver.set_bytes(second, 0, BYTES));
	CHECK(driver.synchronize());
	CHECK(cuGraphInstantiateWithParams(&cloned, clone, &parameters));
	EXPECT(parameters.result_out, CUDA_GRAPH_INSTANTIATE_SUCCESS);
	CHECK(cuGraphLaunch(cloned, stream));
	CHECK(expect_bytes(1, 2));
	CHECK(cuGraphDestroy(clone));

	CHECK(capture(7, &graph));
	CHECK(cuGraphExecUpdate_v2(exec, graph, &info));
	EXPECT(info.result, CU_GRAPH_EXEC_UPDATE_SUCCESS);
	CHECK(cuGraphDestroy(graph));
	CHECK(cuGraphLaunch(exec, stream));
	CHECK(expect_bytes(7, 8));

	CHECK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	CHECK(cuMemsetD8Async(first, 0, BYTES, stream));
	CHECK(cuStreamEndCapture(stream, &graph));
	EXPECT(cuGraphExecUpdate_v2(exec, graph, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
	EXPECT(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
	CHECK(cuGraphDestroy(graph));
	CHECK(cuGraphExecDestroy(exec));
	CHECK(cuGraphExecDestroy(cloned));
	return 0;
}

static int refusals(void)
{
	CUstreamCaptureStatus status;
	cuuint64_t id = 0;
	CUgraph graph;

	EXPECT(cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_RELAXED), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	EXPECT(cuStreamEndCapture(stream, &graph), CUDA_ERROR_ILLEGAL_STATE);

	CHECK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	CHECK(cuStreamGetCaptureInfo(stream, &status, &id));
	EXPECT(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	EXPECT(id != 0, 1);
	CHECK(driver.event_record(fork_event, stream));
	CHECK(cuStreamWaitEvent(side, fork_event, 0));
	CHECK(cuMemsetD8Async(second, 1, BYTES, side));
	EXPECT(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);

	/* Work that is not captured cannot be waited for by work that is: the call itself says so. */
	CHECK(driver.event_record(join_event, side));
	CHECK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	EXPECT(cuStreamWaitEvent(stream, join_event, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
	EXPECT(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

	CHECK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	EXPECT(driver.stream_synchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	CHECK(cuStreamGetCaptureInfo(stream, &status, &id));
	EXPECT(status, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	/* A stream that is in no capture goes on. */
	CHECK(driver.stream_synchronize(side));
	EXPECT(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	CHECK(cuStreamGetCaptureInfo(stream, &status, &id));
	EXPECT(status, CU_STREAM_CAPTURE_STATUS_NONE);
	return 0;
}

int main(void)
{
	const char *problem = driver_open("libcuda.so.1", &driver);
	CUcontext context;

	if (problem) {
		printf("%s\n", problem);
		return 2;
	}
#define FIND(name, parameters)                                \
	{                                                     \
		void *address = dlsym(driver.library, #name); \
                                                              \
		memcpy(&name, &address, sizeof(address));     \
		if (!address) {                               \
			printf("there is no %s\n", #name);    \
			return 2;                             \
		}                                             \
	}
	GRAPH_FUNCTIONS(FIND)
	CHECK(driver.init(0));
	CHECK(driver.primary_retain(&context, 0));
	CHECK(driver.set_current(context));
	CHECK(driver.stream_create(&stream, CU_STREAM_NON_BLOCKING));
	CHECK(driver.stream_create(&side, CU_STREAM_NON_BLOCKING));
	CHECK(driver.event_create(&fork_event, CU_EVENT_DISABLE_TIMING));
	CHECK(driver.event_create(&join_event, CU_EVENT_DISABLE_TIMING));
	CHECK(driver.memory_allocate(&first, BYTES));
	CHECK(driver.memory_allocate(&second, BYTES));
	CHECK(graphs());
	CHECK(refusals());
	CHECK(cuDeviceGraphMemTrim(0));
	EXPECT(cuDeviceGraphMemTrim(-1), CUDA_ERROR_INVALID_DEVICE);
	CHECK(graphs()); /* refusals have left nothing behind */
	printf("ok\n");
	return 0;
}
