/* SPDX-License-Identifier: Apache-2.0 */
/* Row-wise softmax and layer normalisation, one block a row. */

__device__ static float block_reduce(float value, bool maximum)
{
	__shared__ float parts[32];
	unsigned lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
	for (int offset = 16; offset > 0; offset >>= 1) {
		float other = __shfl_xor_sync(0xffffffffu, value, offset);
		value = maximum ? fmaxf(value, other) : value + other;
	}
	__syncthreads();
	if (lane == 0)
		parts[warp] = value;
	__syncthreads();
	value = parts[0];
	for (unsigned i = 1; i < blockDim.x / 32; i++)
		value = maximum ? fmaxf(value, parts[i]) : value + parts[i];
	return value;
}

extern "C" __global__ void softmax(const float *input, float *output, int width)
{
	input += blockIdx.x * width;
	output += blockIdx.x * width;
	float largest = -INFINITY;
	for (int i = threadIdx.x; i < width; i += blockDim.x)
		largest = fmaxf(largest, input[i]);
	largest = block_reduce(largest, true);
	float sum = 0;
	for (int i = threadIdx.x; i < width; i += blockDim.x)
		sum += expf(input[i] - largest);
	sum = block_reduce(sum, false);
	for (int i = threadIdx.x; i < width; i += blockDim.x)
		output[i] = expf(input[i] - largest) / sum;
}

extern "C" __global__ void layer_norm(const float *input, const float *gain, const float *bias, float *output,
				      int width, float epsilon)
{
	input += blockIdx.x * width;
	output += blockIdx.x * width;
	float sum = 0;
	for (int i = threadIdx.x; i < width; i += blockDim.x)
		sum += input[i];
	float mean = block_reduce(sum, false) / width;
	float squares = 0;
	for (int i = threadIdx.x; i < width; i += blockDim.x)
		squares += (input[i] - mean) * (input[i] - mean);
	float scale = rsqrtf(block_reduce(squares, false) / width + epsilon);
	for (int i = threadIdx.x; i < width; i += blockDim.x)
		output[i] = (input[i] - mean) * scale * gain[i] + bias[i];
}
