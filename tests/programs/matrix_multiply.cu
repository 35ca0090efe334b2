/* SPDX-License-Identifier: Apache-2.0 */
/* Tiled product by a templated kernel, run several times. */
#include <cmath>
#include <vector>

#include "program.h"

const char *const program_name = "matrix_multiply";

template <int tile> __global__ static void multiply(const float *a, const float *b, float *c, int n)
{
	__shared__ float a_tile[tile][tile], b_tile[tile][tile];
	int row = blockIdx.y * tile + threadIdx.y, column = blockIdx.x * tile + threadIdx.x;
	float sum = 0;
	for (int k = 0; k < n; k += tile) {
		a_tile[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
		b_tile[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
		__syncthreads();
		for (int i = 0; i < tile; i++)
			sum += a_tile[threadIdx.y][i] * b_tile[i][threadIdx.x];
		__syncthreads();
	}
	c[row * n + column] = sum;
}

template <int tile> static void run(const std::vector<float> &a, const std::vector<float> &b, int n)
{
	size_t bytes = a.size() * sizeof(float);
	std::vector<float> c(a.size());
	float *d_a, *d_b, *d_c;
	CHECK(cudaMalloc(&d_a, bytes));
	CHECK(cudaMalloc(&d_b, bytes));
	CHECK(cudaMalloc(&d_c, bytes));
	CHECK(cudaMemcpy(d_a, a.data(), bytes, cudaMemcpyHostToDevice));
	CHECK(cudaMemcpy(d_b, b.data(), bytes, cudaMemcpyHostToDevice));
	for (int turn = 0; turn < 3; turn++)
		multiply<tile><<<dim3(n / tile, n / tile), dim3(tile, tile)>>>(d_a, d_b, d_c, n);
	CHECK(cudaGetLastError());
	CHECK(cudaDeviceSynchronize());
	CHECK(cudaMemcpy(c.data(), d_c, bytes, cudaMemcpyDeviceToHost));
	for (int row = 0; row < n; row++)
		for (int column = 0; column < n; column++) {
			double sum = 0;
			for (int k = 0; k < n; k++)
				sum += (double)a[row * n + k] * b[k * n + column];
			if (!(std::fabs(c[row * n + column] - sum) <= 1e-4))
				fail("tile %d: c[%d][%d] is %g, expected %g", tile, row, column, c[row * n + column],
				     sum);
		}
	CHECK(cudaFree(d_a));
	CHECK(cudaFree(d_b));
	CHECK(cudaFree(d_c));
}

int main()
{
	const int n = 128;
	std::vector<float> a(n * n), b(n * n);
	for (int i = 0; i < n * n; i++) {
		a[i] = (i * 37 % 101) / 101.0f - 0.5f;
		b[i] = (i * 53 % 97) / 97.0f - 0.5f;
	}
	run<16>(a, b, n);
	run<32>(a, b, n);
	pass();
}
