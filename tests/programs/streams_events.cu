/* SPDX-License-Identifier: Apache-2.0 */
/* Streams that wait for each other's events, queries, priorities and elapsed times. */
#include <vector>

#include "program.h"

const char *const program_name = "streams_events";

__global__ static void fill(int *data, int value, int count)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		data[i] = value + i;
}

__global__ static void multiply_add(const int *from, int *to, int factor, int count)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		to[i] = to[i] * factor + from[i];
}

int main()
{
	const int streams = 4, count = 20000, blocks = (count + 127) / 128;
	size_t bytes = count * sizeof(int);
	cudaStream_t stream[streams];
	cudaEvent_t start, end, filled[streams];
	int *data[streams], *host, least, greatest;
	CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
	if (least < greatest)
		fail("the least priority %d is above the greatest %d", least, greatest);
	CHECK(cudaEventCreate(&start));
	CHECK(cudaEventCreate(&end));
	CHECK(cudaMallocHost(&host, bytes * streams));
	for (int i = 0; i < streams; i++) {
		if (i % 2 == 0)
			CHECK(cudaStreamCreateWithFlags(&stream[i], cudaStreamNonBlocking));
		else
			CHECK(cudaStreamCreateWithPriority(&stream[i], cudaStreamNonBlocking, greatest));
		CHECK(cudaEventCreateWithFlags(&filled[i], cudaEventDisableTiming));
		CHECK(cudaMalloc(&data[i], bytes));
	}
	CHECK(cudaDeviceSynchronize());
	CHECK(cudaEventRecord(start, stream[0]));
	for (int i = 0; i < streams; i++) {
		fill<<<blocks, 128, 0, stream[i]>>>(data[i], i * 1000, count);
		CHECK(cudaEventRecord(filled[i], stream[i]));
	}
	/* Each stream uses what its neighbour filled, after the neighbour's event; then the neighbour's result too. */
	for (int i = 1; i < streams; i++) {
		CHECK(cudaStreamWaitEvent(stream[i], filled[i - 1], 0));
		multiply_add<<<blocks, 128, 0, stream[i]>>>(data[i - 1], data[i], 3, count);
		CHECK(cudaEventRecord(filled[i], stream[i]));
	}
	for (int i = 0; i < streams; i++)
		CHECK(cudaMemcpyAsync(host + i * count, data[i], bytes, cudaMemcpyDeviceToHost, stream[i]));
	for (int i = 1; i < streams; i++)
		CHECK(cudaStreamWaitEvent(stream[0], filled[i], 0));
	CHECK(cudaEventRecord(end, stream[0]));
	CHECK(cudaEventSynchronize(end));
	EXPECT(cudaEventQuery(end), cudaSuccess);
	for (int i = 0; i < streams; i++) {
		CHECK(cudaStreamSynchronize(stream[i]));
		EXPECT(cudaStreamQuery(stream[i]), cudaSuccess);
	}
	float milliseconds = -1;
	CHECK(cudaEventElapsedTime(&milliseconds, start, end));
	if (!(milliseconds > 0 && milliseconds < 60000))
		fail("elapsed time is %g ms", milliseconds);
	EXPECT(cudaEventElapsedTime(&milliseconds, start, filled[0]), cudaErrorInvalidResourceHandle);
	cudaGetLastError();
	std::vector<long long> before(count);
	for (int i = 0; i < streams; i++)
		for (int j = 0; j < count; j++) {
			long long expected = i * 1000 + j;
			if (i > 0)
				expected = expected * 3 + before[j];
			before[j] = expected;
			if (host[i * count + j] != expected)
				fail("stream %d element %d is %d, expected %lld", i, j, host[i * count + j], expected);
		}
	for (int i = 0; i < streams; i++) {
		CHECK(cudaEventDestroy(filled[i]));
		CHECK(cudaStreamDestroy(stream[i]));
		CHECK(cudaFree(data[i]));
	}
	CHECK(cudaEventDestroy(start));
	CHECK(cudaEventDestroy(end));
	CHECK(cudaFreeHost(host));
	pass();
}
