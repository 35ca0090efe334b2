/* SPDX-License-Identifier: Apache-2.0 */
/* Variables of the program on the device: symbols copied to and from, by name, address and size. */
#include "program.h"

const char *const program_name = "constant_symbol";

__constant__ float coefficients[8];
__constant__ int offset = 11;
__device__ int counters[4] = {1, 2, 3, 4};

__global__ static void evaluate(const float *x, float *y, int count)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	float sum = 0;
	for (int j = 7; j >= 0; j--)
		sum = fmaf(sum, x[i], coefficients[j]);
	y[i] = sum + offset;
	atomicAdd(&counters[i & 3], 10);
}

int main()
{
	const int count = 1000;
	float host[8], x[count], y[count], *d_x, *d_y;
	int read[4], *address;
	size_t bytes;
	for (int i = 0; i < 8; i++)
		host[i] = i - 3.5f;
	for (int i = 0; i < count; i++)
		x[i] = i / 1000.0f;
	CHECK(cudaMemcpyToSymbol(coefficients, host, sizeof(host)));
	float replaced = 0.125f;
	CHECK(cudaMemcpyToSymbol(coefficients, &replaced, sizeof(float), 2 * sizeof(float)));
	host[2] = replaced;
	CHECK(cudaMalloc(&d_x, sizeof(x)));
	CHECK(cudaMalloc(&d_y, sizeof(y)));
	CHECK(cudaMemcpy(d_x, x, sizeof(x), cudaMemcpyHostToDevice));
	evaluate<<<8, 128>>>(d_x, d_y, count);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy(y, d_y, sizeof(y), cudaMemcpyDeviceToHost));
	for (int i = 0; i < count; i++) {
		float sum = 0;
		for (int j = 7; j >= 0; j--)
			sum = __builtin_fmaf(sum, x[i], host[j]);
		if (y[i] != sum + 11)
			fail("y[%d] is %.9g, expected %.9g", i, y[i], sum + 11);
	}
	CHECK(cudaGetSymbolAddress((void **)&address, counters));
	CHECK(cudaGetSymbolSize(&bytes, counters));
	if (bytes != sizeof(read))
		fail("the symbol has %zu bytes", bytes);
	CHECK(cudaMemcpyFromSymbol(read, counters, sizeof(read)));
	for (int i = 0; i < 4; i++)
		if (read[i] != i + 1 + 2500)
			fail("counter %d is %d", i, read[i]);
	CHECK(cudaMemcpy(&read[0], address + 3, sizeof(int), cudaMemcpyDeviceToHost));
	if (read[0] != 2504)
		fail("by its address the counter is %d", read[0]);
	pass();
}
