/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of memory and of access: dynamic shared, constant and global variables, vectors, local arrays, all widths. */

__constant__ int table[64];
__constant__ double weights[4] = {0.5, -1.25, 3.0, 1e10};
__device__ unsigned counter = 7;
__device__ int grid_table[4][3] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {-1, -2, -3}};
__device__ const char *greeting = "pointer in a global initialiser";

/* Reverses blocks of any size through dynamic shared memory that holds two arrays of different types. */
extern "C" __global__ void dynamic_shared(const float *input, float *output, short *shorts)
{
	extern __shared__ double storage[];
	float *floats = (float *)storage;
	short *halves = (short *)(floats + blockDim.x);
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x, mirrored = blockDim.x - 1 - threadIdx.x;
	floats[threadIdx.x] = input[index];
	halves[threadIdx.x] = (short)(index * 3 - 100);
	__syncthreads();
	output[index] = floats[mirrored];
	shorts[index] = halves[mirrored];
}

extern "C" __global__ void constant_tables(const unsigned *indexes, double *output, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		output[i] = table[indexes[i] & 63] + weights[i & 3] + grid_table[(i >> 2) & 3][indexes[i] % 3];
}

extern "C" __global__ void global_variables(unsigned *output, char *text)
{
	if (threadIdx.x == 0) {
		*output = counter;
		counter = 1000;
		unsigned i = 0;
		do
			text[i] = greeting[i];
		while (greeting[i++] != 0);
	}
}

extern "C" __global__ void vector_loads(const float4 *input, const uint2 *pairs, const uchar4 *bytes, float4 *output,
					uint2 *swapped, ushort4 *widened, double2 *doubles, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	float4 v = input[i];
	uint2 p = pairs[i];
	uchar4 b = bytes[i];
	output[i] = make_float4(v.w, v.z, v.y, v.x);
	swapped[i] = make_uint2(p.y, p.x);
	widened[i] = make_ushort4(b.x * 257, b.y * 257, b.z * 257, b.w * 257);
	doubles[i] = make_double2(v.x, v.y);
}

/* A sieve and a small sort in an array that only a dynamic index reaches. */
extern "C" __global__ void local_arrays(const unsigned *input, unsigned *output, unsigned count)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	if (index >= count)
		return;
	unsigned values[16], seed = input[index];
	unsigned char seen[64];
	for (int i = 0; i < 64; i++)
		seen[i] = 0;
	for (int i = 0; i < 16; i++) {
		seed = seed * 1664525u + 1013904223u;
		values[i] = seed >> 8;
		seen[seed >> 26] |= 1 << (i & 7);
	}
	for (int i = 1; i < 16; i++) {
		unsigned value = values[i];
		int j = i;
		for (; j > 0 && values[j - 1] > value; j--)
			values[j] = values[j - 1];
		values[j] = value;
	}
	unsigned sum = 0;
	for (int i = 0; i < 64; i++)
		sum = sum * 5 + seen[(i * 7) & 63];
	output[index] = values[input[index] & 15] ^ sum;
}

struct mixed {
	unsigned char byte;
	short word;
	int number;
	long long wide;
	float real;
	double precise;
};

extern "C" __global__ void structures(const struct mixed *input, struct mixed *output, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	struct mixed value = input[i];
	value.byte = value.byte * 3;
	value.word = -value.word;
	value.number = value.number / 7;
	value.wide ^= value.number;
	value.real = value.real * 0.5f;
	value.precise = value.precise + value.byte;
	output[i] = value;
}

__device__ __noinline__ static int read_any(const int *pointer)
{
	return *pointer;
}

/* One generic pointer that may lie in global, shared, local or constant memory, by thread. */
extern "C" __global__ void generic_pointers(const int *input, int *output)
{
	__shared__ int shared_value[32];
	int local_value[2] = {(int)threadIdx.x * 5, (int)threadIdx.x * 11};
	shared_value[threadIdx.x] = (int)threadIdx.x * 1000;
	__syncthreads();
	const int *pointer;
	switch (threadIdx.x & 3) {
	case 0:
		pointer = &input[threadIdx.x];
		break;
	case 1:
		pointer = &shared_value[31 - threadIdx.x];
		break;
	case 2:
		pointer = &local_value[(threadIdx.x >> 2) & 1];
		break;
	default:
		pointer = &table[threadIdx.x];
		break;
	}
	output[threadIdx.x] = read_any(pointer);
	output[32 + threadIdx.x] =
		__isGlobal(pointer) | __isShared(pointer) << 1 | __isLocal(pointer) << 2 | __isConstant(pointer) << 3;
}

/* All indexes of a three-dimensional grid of three-dimensional blocks. */
extern "C" __global__ void grid_indexes(unsigned *output)
{
	unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
	unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
	unsigned lane;
	asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
	output[block * blockDim.x * blockDim.y * blockDim.z + thread] =
		(block << 16 | thread << 4 | (lane == (thread & 31) ? 1 : 0)) + (warpSize == 32 ? 2 : 0);
}
