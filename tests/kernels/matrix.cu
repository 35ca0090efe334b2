/* SPDX-License-Identifier: Apache-2.0 */
/* Tiled matrix products in three number types, and a transpose through padded shared memory. */

template <typename number, int tile> __device__ static void multiply(const number *a, const number *b, number *c, int n)
{
	__shared__ number a_tile[tile][tile], b_tile[tile][tile];
	int row = blockIdx.y * tile + threadIdx.y, column = blockIdx.x * tile + threadIdx.x;
	number sum = 0;
	for (int k = 0; k < n; k += tile) {
		int a_column = k + threadIdx.x, b_row = k + threadIdx.y;
		a_tile[threadIdx.y][threadIdx.x] = row < n && a_column < n ? a[row * n + a_column] : number(0);
		b_tile[threadIdx.y][threadIdx.x] = b_row < n && column < n ? b[b_row * n + column] : number(0);
		__syncthreads();
#pragma unroll
		for (int i = 0; i < tile; i++)
			sum += a_tile[threadIdx.y][i] * b_tile[i][threadIdx.x];
		__syncthreads();
	}
	if (row < n && column < n)
		c[row * n + column] = sum;
}

extern "C" __global__ void matrix_multiply_float(const float *a, const float *b, float *c, int n)
{
	multiply<float, 16>(a, b, c, n);
}

extern "C" __global__ void matrix_multiply_double(const double *a, const double *b, double *c, int n)
{
	multiply<double, 8>(a, b, c, n);
}

extern "C" __global__ void matrix_multiply_int(const int *a, const int *b, int *c, int n)
{
	multiply<int, 16>(a, b, c, n);
}

extern "C" __global__ void transpose(const float *input, float *output, int width, int height)
{
	__shared__ float tile[32][33];
	int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
	for (int i = 0; i < 32; i += 8)
		if (x < width && y + i < height)
			tile[threadIdx.y + i][threadIdx.x] = input[(y + i) * width + x];
	__syncthreads();
	x = blockIdx.y * 32 + threadIdx.x;
	y = blockIdx.x * 32 + threadIdx.y;
	for (int i = 0; i < 32; i += 8)
		if (x < height && y + i < width)
			output[(y + i) * height + x] = tile[threadIdx.x][threadIdx.y + i];
}
