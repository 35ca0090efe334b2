/* SPDX-License-Identifier: Apache-2.0 */
/* Built with --default-stream per-thread: each host thread's default stream is its own. */
#include <string>
#include <thread>
#include <vector>

#include "program.h"

const char *const program_name = "per_thread_stream";

__global__ static void accumulate(int *values, int count, int amount)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		values[i] += amount;
}

static void work(int number, std::string *problem)
{
	const int count = 3000, turns = 10;
	std::vector<int> values(count, number);
	int *device = nullptr;
	cudaError_t error = cudaMalloc(&device, count * sizeof(int));
	if (error == cudaSuccess)
		error = cudaMemcpyAsync(device, values.data(), count * sizeof(int), cudaMemcpyHostToDevice);
	for (int turn = 0; turn < turns && error == cudaSuccess; turn++) {
		accumulate<<<(count + 63) / 64, 64>>>(device, count, number + turn);
		error = cudaGetLastError();
	}
	if (error == cudaSuccess)
		error = cudaMemcpyAsync(values.data(), device, count * sizeof(int), cudaMemcpyDeviceToHost);
	if (error == cudaSuccess)
		error = cudaStreamSynchronize(cudaStreamPerThread);
	if (error == cudaSuccess)
		error = cudaFree(device);
	if (error != cudaSuccess) {
		*problem = cudaGetErrorName(error);
		return;
	}
	int expected = number + turns * number + turns * (turns - 1) / 2;
	for (int value : values)
		if (value != expected) {
			*problem = "a value is " + std::to_string(value) + ", expected " + std::to_string(expected);
			return;
		}
}

int main()
{
	const int count = 4;
	std::string problems[count];
	std::vector<std::thread> threads;
	for (int i = 0; i < count; i++)
		threads.emplace_back(work, i + 1, &problems[i]);
	for (std::thread &thread : threads)
		thread.join();
	for (int i = 0; i < count; i++)
		if (!problems[i].empty())
			fail("thread %d: %s", i, problems[i].c_str());
	work(9, &problems[0]);
	if (!problems[0].empty())
		fail("the main thread: %s", problems[0].c_str());
	pass();
}
