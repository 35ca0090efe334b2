/* SPDX-License-Identifier: Apache-2.0 */
/* Sparse work: matrix times vector (CSR, a warp a row), a breadth-first search step, compaction with ballots. */

extern "C" __global__ void sparse_multiply(const unsigned *row_starts, const unsigned *columns, const double *values,
					   const double *vector, double *result, unsigned rows)
{
	unsigned row = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
	if (row >= rows)
		return;
	double sum = 0;
	for (unsigned i = row_starts[row] + lane; i < row_starts[row + 1]; i += 32)
		sum = __fma_rn(values[i], __ldg(&vector[columns[i]]), sum);
	for (int offset = 16; offset > 0; offset >>= 1)
		sum = __dadd_rn(sum, __shfl_down_sync(0xffffffffu, sum, offset));
	if (lane == 0)
		result[row] = sum;
}

extern "C" __global__ void breadth_first_step(const unsigned *starts, const unsigned *edges, int *distances, int level,
					      unsigned vertices, unsigned *changed)
{
	unsigned vertex = blockIdx.x * blockDim.x + threadIdx.x;
	if (vertex >= vertices || distances[vertex] != level)
		return;
	for (unsigned i = starts[vertex]; i < starts[vertex + 1]; i++)
		if (atomicCAS(&distances[edges[i]], -1, level + 1) == -1)
			*changed = 1;
}

/* Keeps the order within a block of 1024; blocks take their place in the output by one atomic. */
extern "C" __global__ void compact(const int *input, int *output, unsigned *block_offsets, unsigned *block_counts,
				   unsigned *total, unsigned count)
{
	__shared__ unsigned warp_offsets[33], base;
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
	int value = index < count ? input[index] : 0;
	bool keep = index < count && value % 3 == 0;
	unsigned mask = __ballot_sync(0xffffffffu, keep);
	unsigned rank = __popc(mask & ((1u << lane) - 1));
	if (lane == 0)
		warp_offsets[warp + 1] = __popc(mask);
	__syncthreads();
	if (threadIdx.x == 0) {
		warp_offsets[0] = 0;
		for (unsigned i = 1; i <= blockDim.x / 32; i++)
			warp_offsets[i] += warp_offsets[i - 1];
		block_counts[blockIdx.x] = warp_offsets[blockDim.x / 32];
		base = atomicAdd(total, block_counts[blockIdx.x]);
		block_offsets[blockIdx.x] = base;
	}
	__syncthreads();
	if (keep)
		output[base + warp_offsets[warp] + rank] = value;
}
