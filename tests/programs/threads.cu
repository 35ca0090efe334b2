/* SPDX-License-Identifier: Apache-2.0 */
/* Thirty-two host threads, each with its own stream, buffers and results. */
#include <string>
#include <thread>
#include <vector>

#include "program.h"

const char *const program_name = "threads";

__global__ static void step(unsigned *values, unsigned count, unsigned salt)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		values[i] = values[i] * 1664525u + salt;
}

static void work(unsigned number, std::string *problem)
{
	const unsigned count = 5000 + number * 100, turns = 20;
	std::vector<unsigned> values(count);
	unsigned *device;
	cudaStream_t stream;
	auto done = [&](cudaError_t error, const char *call) {
		if (error != cudaSuccess && problem->empty())
			*problem = std::string(call) + ": " + cudaGetErrorName(error);
		return error == cudaSuccess;
	};
	for (unsigned i = 0; i < count; i++)
		values[i] = i ^ number;
	if (!done(cudaStreamCreate(&stream), "cudaStreamCreate") ||
	    !done(cudaMalloc(&device, count * sizeof(unsigned)), "cudaMalloc"))
		return;
	done(cudaMemcpyAsync(device, values.data(), count * sizeof(unsigned), cudaMemcpyHostToDevice, stream),
	     "copy in");
	for (unsigned turn = 0; turn < turns; turn++)
		step<<<(count + 63) / 64, 64, 0, stream>>>(device, count, number * 1000 + turn);
	done(cudaGetLastError(), "launch");
	done(cudaMemcpyAsync(values.data(), device, count * sizeof(unsigned), cudaMemcpyDeviceToHost, stream),
	     "copy out");
	done(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
	for (unsigned i = 0; i < count && problem->empty(); i++) {
		unsigned expected = i ^ number;
		for (unsigned turn = 0; turn < turns; turn++)
			expected = expected * 1664525u + number * 1000 + turn;
		if (values[i] != expected)
			*problem = "element " + std::to_string(i) + " is wrong";
	}
	done(cudaFree(device), "cudaFree");
	done(cudaStreamDestroy(stream), "cudaStreamDestroy");
}

int main()
{
	const unsigned count = 32;
	std::string problems[count];
	for (int turn = 0; turn < 2; turn++) {
		std::vector<std::thread> threads;
		for (unsigned i = 0; i < count; i++)
			threads.emplace_back(work, i, &problems[i]);
		for (std::thread &thread : threads)
			thread.join();
		for (unsigned i = 0; i < count; i++)
			if (!problems[i].empty())
				fail("thread %u: %s", i, problems[i].c_str());
	}
	pass();
}
