/* SPDX-License-Identifier: Apache-2.0 */
/* An illegal address breaks the context: every later call of the process says so, and nothing hangs. */
#include "program.h"

const char *const program_name = "errors_sticky";

__global__ static void store(int *address)
{
	*address = 42;
}

int main()
{
	int *good;
	void *more;
	CHECK(cudaMalloc(&good, sizeof(int)));
	store<<<1, 1>>>(good);
	CHECK(cudaDeviceSynchronize());
	store<<<1, 1>>>((int *)16);
	EXPECT(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
	EXPECT(cudaGetLastError(), cudaErrorIllegalAddress);
	EXPECT(cudaMalloc(&more, 1024), cudaErrorIllegalAddress);
	EXPECT(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
	store<<<1, 1>>>(good);
	EXPECT(cudaGetLastError(), cudaErrorIllegalAddress);
	int value = 0;
	EXPECT(cudaMemcpy(&value, good, sizeof(int), cudaMemcpyDeviceToHost), cudaErrorIllegalAddress);
	pass();
}
