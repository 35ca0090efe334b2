/* SPDX-License-Identifier: Apache-2.0 */
/* Host functions in a stream run in this process, after the data before them has arrived. */
#include <atomic>

#include "program.h"

const char *const program_name = "host_function";

struct progress {
	int *data;
	std::atomic<int> calls, wrong;
};

__global__ static void fill(int *values, int value)
{
	values[threadIdx.x] = value;
}

static void CUDART_CB look(void *argument)
{
	progress *state = (progress *)argument;
	int expected = ++state->calls;
	for (int i = 0; i < 256; i++)
		if (state->data[i] != expected)
			state->wrong++;
}

int main()
{
	int *device, *host;
	cudaStream_t stream;
	CHECK(cudaStreamCreate(&stream));
	CHECK(cudaMalloc(&device, 1024));
	CHECK(cudaMallocHost(&host, 1024));
	progress state = {host, {0}, {0}};
	for (int turn = 1; turn <= 5; turn++) {
		fill<<<1, 256, 0, stream>>>(device, turn);
		CHECK(cudaMemcpyAsync(host, device, 1024, cudaMemcpyDeviceToHost, stream));
		CHECK(cudaLaunchHostFunc(stream, look, &state));
	}
	CHECK(cudaStreamSynchronize(stream));
	if (state.calls != 5 || state.wrong != 0)
		fail("%d calls, %d wrong values", state.calls.load(), state.wrong.load());
	pass();
}
