/* SPDX-License-Identifier: Apache-2.0 */
extern "C" __global__ void vector_add(const float *a, const float *b, float *sum, unsigned count)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	if (index < count)
		sum[index] = a[index] + b[index];
}
