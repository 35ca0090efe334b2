/* SPDX-License-Identifier: Apache-2.0 */
/* Prefix sums: within a warp, within a block, and across blocks in one pass with decoupled look-back. */

extern "C" __global__ void scan_warp(const int *input, int *output)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned lane = threadIdx.x & 31;
	int value = input[index];
	for (int offset = 1; offset < 32; offset <<= 1) {
		int other = __shfl_up_sync(0xffffffffu, value, offset);
		if (lane >= offset)
			value += other;
	}
	output[index] = value;
}

/* Work-efficient exclusive scan (up-sweep, down-sweep) of 512 elements in dynamic shared memory. */
extern "C" __global__ void scan_block(const unsigned *input, unsigned *output)
{
	extern __shared__ unsigned tree[];
	unsigned thread = threadIdx.x, size = blockDim.x * 2, base = blockIdx.x * size;
	tree[2 * thread] = input[base + 2 * thread];
	tree[2 * thread + 1] = input[base + 2 * thread + 1];
	unsigned stride = 1;
	for (unsigned active = size >> 1; active > 0; active >>= 1) {
		__syncthreads();
		if (thread < active)
			tree[stride * (2 * thread + 2) - 1] += tree[stride * (2 * thread + 1) - 1];
		stride <<= 1;
	}
	if (thread == 0)
		tree[size - 1] = 0;
	for (unsigned active = 1; active < size; active <<= 1) {
		stride >>= 1;
		__syncthreads();
		if (thread < active) {
			unsigned left = stride * (2 * thread + 1) - 1, right = stride * (2 * thread + 2) - 1;
			unsigned moved = tree[left];
			tree[left] = tree[right];
			tree[right] += moved;
		}
	}
	__syncthreads();
	output[base + 2 * thread] = tree[2 * thread];
	output[base + 2 * thread + 1] = tree[2 * thread + 1];
}

/*
 * A tile's state is one 64-bit word: status in the high half (1 its own sum is
 * there, 2 the inclusive prefix is there), value in the low half.  Tiles are
 * numbered by an atomic ticket, so a tile only waits for tiles that have
 * started.
 */
extern "C" __global__ void scan_decoupled(const unsigned *input, unsigned *output, unsigned long long *states,
					  unsigned *ticket, unsigned count)
{
	__shared__ unsigned tile, prefix, values[256];
	if (threadIdx.x == 0)
		tile = atomicAdd(ticket, 1);
	__syncthreads();
	unsigned index = tile * blockDim.x + threadIdx.x;
	values[threadIdx.x] = index < count ? input[index] : 0;
	__syncthreads();
	for (unsigned offset = 1; offset < blockDim.x; offset <<= 1) {
		unsigned other = threadIdx.x >= offset ? values[threadIdx.x - offset] : 0;
		__syncthreads();
		values[threadIdx.x] += other;
		__syncthreads();
	}
	if (threadIdx.x == 0) {
		volatile unsigned long long *state = states;
		unsigned sum = values[blockDim.x - 1], before = 0;
		state[tile] = ((tile == 0 ? 2ull : 1ull) << 32) | sum;
		__threadfence();
		for (int other = (int)tile - 1; other >= 0;) {
			unsigned long long word = state[other];
			if (word >> 32 == 0)
				continue;
			before += (unsigned)word;
			if (word >> 32 == 2)
				break;
			other--;
		}
		state[tile] = (2ull << 32) | (before + sum);
		__threadfence();
		prefix = before;
	}
	__syncthreads();
	if (index < count)
		output[index] = values[threadIdx.x] + prefix;
}
