/* SPDX-License-Identifier: Apache-2.0 */
/* The first program of every tutorial: 1,000,000 sums. */
#include <vector>

#include "program.h"

const char *const program_name = "vector_add";

__global__ static void add(const float *a, const float *b, float *c, int count)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		c[i] = a[i] + b[i];
}

int main()
{
	const int count = 1000000;
	std::vector<float> a(count), b(count), c(count);
	for (int i = 0; i < count; i++) {
		a[i] = i * 0.25f;
		b[i] = (count - i) * 0.5f;
	}
	float *d_a, *d_b, *d_c;
	CHECK(cudaMalloc(&d_a, count * sizeof(float)));
	CHECK(cudaMalloc(&d_b, count * sizeof(float)));
	CHECK(cudaMalloc(&d_c, count * sizeof(float)));
	CHECK(cudaMemcpy(d_a, a.data(), count * sizeof(float), cudaMemcpyHostToDevice));
	CHECK(cudaMemcpy(d_b, b.data(), count * sizeof(float), cudaMemcpyHostToDevice));
	add<<<(count + 255) / 256, 256>>>(d_a, d_b, d_c, count);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy(c.data(), d_c, count * sizeof(float), cudaMemcpyDeviceToHost));
	for (int i = 0; i < count; i++)
		if (c[i] != a[i] + b[i])
			fail("element %d is %g, expected %g", i, c[i], a[i] + b[i]);
	CHECK(cudaFree(d_a));
	CHECK(cudaFree(d_b));
	CHECK(cudaFree(d_c));
	CHECK(cudaDeviceReset());
	pass();
}
