/* SPDX-License-Identifier: Apache-2.0 */
/* c = a * b for square matrices, 16 x 16 tiles in shared memory. */
extern "C" __global__ void matrix_product(const float *a, const float *b, float *c, unsigned size)
{
	__shared__ float a_tile[16][16], b_tile[16][16];
	unsigned row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
	float sum = 0;
	for (unsigned base = 0; base < size; base += 16) {
		unsigned a_column = base + threadIdx.x, b_row = base + threadIdx.y;
		a_tile[threadIdx.y][threadIdx.x] = row < size && a_column < size ? a[row * size + a_column] : 0.0f;
		b_tile[threadIdx.y][threadIdx.x] = b_row < size && column < size ? b[b_row * size + column] : 0.0f;
		__syncthreads();
		for (unsigned i = 0; i < 16; i++)
			sum += a_tile[threadIdx.y][i] * b_tile[i][threadIdx.x];
		__syncthreads();
	}
	if (row < size && column < size)
		c[row * size + column] = sum;
}
