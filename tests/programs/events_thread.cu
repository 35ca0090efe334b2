/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that has no current context asks for events of another's, as PyTorch's thread for pinned memory does. */
#include <thread>

#include "program.h"

const char *const program_name = "events_thread";

__global__ static void store(int *place)
{
	*place = 1;
}

int main()
{
	int *place;
	cudaEvent_t before, after;
	CHECK(cudaMalloc(&place, sizeof(*place)));
	CHECK(cudaEventCreate(&before));
	CHECK(cudaEventCreate(&after));
	CHECK(cudaEventRecord(before));
	store<<<1, 1>>>(place);
	CHECK(cudaEventRecord(after));
	std::thread([&] {
		float milliseconds = -1;
		CHECK(cudaEventSynchronize(after));
		CHECK(cudaEventQuery(after));
		CHECK(cudaEventElapsedTime(&milliseconds, before, after));
		if (!(milliseconds >= 0))
			fail("%f ms", milliseconds);
		CHECK(cudaEventDestroy(before));
	}).join();
	CHECK(cudaEventDestroy(after));
	pass();
}
