/* SPDX-License-Identifier: Apache-2.0 */
/* Stencils in one, two and three dimensions. */

extern "C" __global__ void stencil_1d(const int *input, int *output, int count)
{
	const int radius = 3;
	__shared__ int tile[256 + 2 * radius];
	int index = blockIdx.x * blockDim.x + threadIdx.x, local = threadIdx.x + radius;
	tile[local] = index < count ? input[index] : 0;
	if (threadIdx.x < radius) {
		int left = index - radius, right = index + blockDim.x;
		tile[local - radius] = left >= 0 ? input[left] : 0;
		tile[local + blockDim.x] = right < count ? input[right] : 0;
	}
	__syncthreads();
	int sum = 0;
	for (int offset = -radius; offset <= radius; offset++)
		sum += tile[local + offset] * (radius + 1 - (offset < 0 ? -offset : offset));
	if (index < count)
		output[index] = sum;
}

extern "C" __global__ void stencil_2d(const float *input, float *output, int width, int height)
{
	int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
	if (x >= width || y >= height)
		return;
	int index = y * width + x;
	if (x == 0 || y == 0 || x == width - 1 || y == height - 1) {
		output[index] = input[index];
		return;
	}
	float sum = __fadd_rn(__fadd_rn(input[index - 1], input[index + 1]), input[index - width]);
	sum = __fadd_rn(sum, input[index + width]);
	output[index] = __fmul_rn(sum, 0.25f);
}

extern "C" __global__ void stencil_3d(const double *input, double *output, int3 size, double centre, double side)
{
	int x = blockIdx.x * blockDim.x + threadIdx.x;
	int y = blockIdx.y * blockDim.y + threadIdx.y;
	int z = blockIdx.z * blockDim.z + threadIdx.z;
	if (x < 1 || y < 1 || z < 1 || x >= size.x - 1 || y >= size.y - 1 || z >= size.z - 1)
		return;
	int row = size.x, plane = size.x * size.y, index = z * plane + y * row + x;
	double sum = input[index - 1] + input[index + 1] + input[index - row] + input[index + row] +
		     input[index - plane] + input[index + plane];
	output[index] = __fma_rn(centre, input[index], __dmul_rn(side, sum));
}
