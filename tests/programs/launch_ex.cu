/* SPDX-License-Identifier: Apache-2.0 */
/* Launches with attributes: cudaLaunchKernelEx, cudaLaunchKernel by pointer, cooperative launch. */
#include <cooperative_groups.h>

#include "program.h"

const char *const program_name = "launch_ex";

namespace groups = cooperative_groups;

__global__ static void scale(float *values, float factor, int count)
{
	extern __shared__ float copy[];
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	copy[threadIdx.x] = i < count ? values[i] : 0;
	__syncthreads();
	if (i < count)
		values[i] = copy[threadIdx.x] * factor;
}

__global__ static void rotate_sums(int *from, int *to, int count, int turns)
{
	groups::grid_group grid = groups::this_grid();
	for (int turn = 0; turn < turns; turn++) {
		for (int i = (int)grid.thread_rank(); i < count; i += (int)grid.size())
			to[i] = from[i] + from[(i + 1) % count];
		grid.sync();
		int *other = from;
		from = to;
		to = other;
	}
}

int main()
{
	const int count = 4000;
	static float values[count];
	static int numbers[count], next[count];
	float *d_values;
	int *d_from, *d_to;
	for (int i = 0; i < count; i++) {
		values[i] = i;
		numbers[i] = i * 7 % 13;
	}
	CHECK(cudaMalloc(&d_values, sizeof(values)));
	CHECK(cudaMemcpy(d_values, values, sizeof(values), cudaMemcpyHostToDevice));
	cudaStream_t stream;
	CHECK(cudaStreamCreate(&stream));

	cudaLaunchConfig_t config = {};
	config.gridDim = dim3((count + 127) / 128);
	config.blockDim = dim3(128);
	config.dynamicSmemBytes = 128 * sizeof(float);
	config.stream = stream;
	CHECK(cudaLaunchKernelEx(&config, scale, d_values, 2.0f, count));
	cudaLaunchAttribute attribute = {};
	attribute.id = cudaLaunchAttributePriority;
	attribute.val.priority = 0;
	config.attrs = &attribute;
	config.numAttrs = 1;
	CHECK(cudaLaunchKernelEx(&config, scale, d_values, 4.0f, count));
	float factor = 0.5f;
	int argument_count = count;
	void *arguments[] = {&d_values, &factor, &argument_count};
	CHECK(cudaLaunchKernel((const void *)scale, config.gridDim, config.blockDim, arguments, 128 * sizeof(float),
			       stream));
	CHECK(cudaStreamSynchronize(stream));
	CHECK(cudaMemcpy(values, d_values, sizeof(values), cudaMemcpyDeviceToHost));
	for (int i = 0; i < count; i++)
		if (values[i] != i * 4.0f)
			fail("value %d is %g", i, values[i]);

	int cooperative = 0, turns = 6;
	CHECK(cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, 0));
	if (!cooperative)
		skip("no cooperative launch by the device's attribute; the other launches are right");
	CHECK(cudaMalloc(&d_from, sizeof(numbers)));
	CHECK(cudaMalloc(&d_to, sizeof(numbers)));
	CHECK(cudaMemcpy(d_from, numbers, sizeof(numbers), cudaMemcpyHostToDevice));
	void *cooperative_arguments[] = {&d_from, &d_to, &argument_count, &turns};
	CHECK(cudaLaunchCooperativeKernel((const void *)rotate_sums, dim3(4), dim3(256), cooperative_arguments, 0,
					  stream));
	CHECK(cudaStreamSynchronize(stream));
	int *result = turns % 2 ? d_to : d_from;
	for (int turn = 0; turn < turns; turn++) {
		for (int i = 0; i < count; i++)
			next[i] = numbers[i] + numbers[(i + 1) % count];
		for (int i = 0; i < count; i++)
			numbers[i] = next[i];
	}
	CHECK(cudaMemcpy(next, result, sizeof(next), cudaMemcpyDeviceToHost));
	for (int i = 0; i < count; i++)
		if (next[i] != numbers[i])
			fail("sum %d is %d, expected %d", i, next[i], numbers[i]);
	CHECK(cudaStreamDestroy(stream));
	pass();
}
