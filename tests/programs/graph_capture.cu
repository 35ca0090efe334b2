/* SPDX-License-Identifier: Apache-2.0 */
/* Captures that fork and join over streams, launches of the graph, its clone, updates, and what a capture refuses. */
#include <vector>

#include "program.h"

const char *const program_name = "graph_capture";

static const int count = 10000, blocks = (count + 127) / 128;

__global__ static void add(int *data, const int *from, int value, int count)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		data[i] += from[i] + value;
}

struct pipeline {
	cudaStream_t main, side;
	cudaEvent_t fork, join;
	int *a, *b, *host;
};

/* a += b + value and b += b + 1, side by side on their copies, then the sum a to the host. */
static cudaGraph_t capture(const pipeline &p, int *scratch, int value)
{
	cudaGraph_t graph;
	cudaStreamCaptureStatus status;
	CHECK(cudaStreamBeginCapture(p.main, cudaStreamCaptureModeThreadLocal));
	CHECK(cudaStreamIsCapturing(p.main, &status));
	if (status != cudaStreamCaptureStatusActive)
		fail("status %d after the begin", (int)status);
	CHECK(cudaMemcpyAsync(scratch, p.b, count * sizeof(int), cudaMemcpyDeviceToDevice, p.main));
	CHECK(cudaEventRecord(p.fork, p.main));
	CHECK(cudaStreamWaitEvent(p.side, p.fork, 0));
	CHECK(cudaStreamIsCapturing(p.side, &status));
	if (status != cudaStreamCaptureStatusActive)
		fail("status %d of the forked stream", (int)status);
	add<<<blocks, 128, 0, p.main>>>(p.a, scratch, value, count);
	add<<<blocks, 128, 0, p.side>>>(p.b, scratch, 1, count);
	CHECK(cudaEventRecord(p.join, p.side));
	CHECK(cudaStreamWaitEvent(p.main, p.join, 0));
	CHECK(cudaMemcpyAsync(p.host, p.a, count * sizeof(int), cudaMemcpyDeviceToHost, p.main));
	CHECK(cudaStreamEndCapture(p.main, &graph));
	CHECK(cudaStreamIsCapturing(p.side, &status));
	if (status != cudaStreamCaptureStatusNone)
		fail("status %d after the end", (int)status);
	return graph;
}

static void expect_values(const pipeline &p, int a, const char *what)
{
	CHECK(cudaStreamSynchronize(p.main));
	for (int i = 0; i < count; i++)
		if (p.host[i] != a)
			fail("%s: value %d is %d, not %d", what, i, p.host[i], a);
}

int main()
{
	pipeline p;
	int *scratch, a = 0, b = 0;
	CHECK(cudaStreamCreateWithFlags(&p.main, cudaStreamNonBlocking));
	CHECK(cudaStreamCreateWithFlags(&p.side, cudaStreamNonBlocking));
	CHECK(cudaEventCreateWithFlags(&p.fork, cudaEventDisableTiming));
	CHECK(cudaEventCreateWithFlags(&p.join, cudaEventDisableTiming));
	CHECK(cudaMalloc(&p.a, count * sizeof(int)));
	CHECK(cudaMalloc(&p.b, count * sizeof(int)));
	CHECK(cudaMalloc(&scratch, count * sizeof(int)));
	CHECK(cudaMallocHost(&p.host, count * sizeof(int)));
	CHECK(cudaMemset(p.a, 0, count * sizeof(int)));
	CHECK(cudaMemset(p.b, 0, count * sizeof(int)));
	CHECK(cudaDeviceSynchronize());
	for (int i = 0; i < count; i++)
		p.host[i] = -1;

	cudaGraph_t graph = capture(p, scratch, 5), clone;
	cudaGraphExec_t exec, second;
	CHECK(cudaStreamSynchronize(p.main));
	if (p.host[0] != -1)
		fail("the capture ran");
	CHECK(cudaGraphInstantiate(&exec, graph, 0));
	CHECK(cudaGraphClone(&clone, graph));
	CHECK(cudaGraphDestroy(graph));
	for (int i = 0; i < 20; i++) {
		CHECK(cudaGraphLaunch(exec, p.main));
		a += b + 5;
		b += b + 1;
		if (b > 1000)
			break;
	}
	expect_values(p, a, "launches");
	CHECK(cudaGraphInstantiate(&second, clone, cudaGraphInstantiateFlagAutoFreeOnLaunch));
	CHECK(cudaGraphUpload(second, p.main));
	CHECK(cudaGraphLaunch(second, p.main));
	a += b + 5;
	b += b + 1;
	expect_values(p, a, "the clone");

	/* The same nodes with another value. */
	cudaGraph_t other = capture(p, scratch, 9);
	cudaGraphExecUpdateResultInfo info;
	CHECK(cudaGraphExecUpdate(exec, other, &info));
	CHECK(cudaGraphDestroy(other));
	CHECK(cudaGraphLaunch(exec, p.main));
	a += b + 9;
	b += b + 1;
	expect_values(p, a, "the update");

	/* Other nodes. */
	CHECK(cudaStreamBeginCapture(p.main, cudaStreamCaptureModeRelaxed));
	CHECK(cudaMemsetAsync(p.a, 0, count * sizeof(int), p.main));
	CHECK(cudaStreamEndCapture(p.main, &other));
	EXPECT(cudaGraphExecUpdate(exec, other, &info), cudaErrorGraphExecUpdateFailure);
	cudaGetLastError();
	if (info.result != cudaGraphExecUpdateErrorTopologyChanged)
		fail("update result %d", (int)info.result);
	CHECK(cudaGraphDestroy(other));

	/* A fork that is not joined, and a wait for a stream that is captured. */
	CHECK(cudaStreamBeginCapture(p.main, cudaStreamCaptureModeRelaxed));
	CHECK(cudaEventRecord(p.fork, p.main));
	CHECK(cudaStreamWaitEvent(p.side, p.fork, 0));
	CHECK(cudaMemsetAsync(p.b, 0, count * sizeof(int), p.side));
	EXPECT(cudaStreamEndCapture(p.main, &other), cudaErrorStreamCaptureUnjoined);
	cudaGetLastError();
	CHECK(cudaStreamBeginCapture(p.main, cudaStreamCaptureModeRelaxed));
	EXPECT(cudaStreamSynchronize(p.main), cudaErrorStreamCaptureUnsupported);
	cudaGetLastError();
	EXPECT(cudaStreamEndCapture(p.main, &other), cudaErrorStreamCaptureInvalidated);
	cudaGetLastError();

	/* The default stream, during a capture in a stream that waits for it. */
	cudaStream_t blocking;
	CHECK(cudaStreamCreate(&blocking));
	CHECK(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed));
	add<<<blocks, 128>>>(scratch, scratch, 0, count);
	EXPECT(cudaGetLastError(), cudaErrorStreamCaptureImplicit);
	EXPECT(cudaStreamEndCapture(blocking, &other), cudaErrorStreamCaptureInvalidated);
	cudaGetLastError();
	CHECK(cudaStreamDestroy(blocking));

	CHECK(cudaGraphLaunch(exec, p.main));
	a += b + 9;
	expect_values(p, a, "after the refusals");
	CHECK(cudaGraphExecDestroy(exec));
	CHECK(cudaGraphExecDestroy(second));
	CHECK(cudaGraphDestroy(clone));
	CHECK(cudaDeviceSynchronize());
	pass();
}
