/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: function pointers, tables of them, virtual functions, large structures by value. */

typedef int (*operation)(int, int);

__device__ __noinline__ static int add(int a, int b)
{
	return a + b;
}
__device__ __noinline__ static int subtract(int a, int b)
{
	return a - b;
}
__device__ __noinline__ static int multiply(int a, int b)
{
	return a * b;
}
__device__ __noinline__ static int mix(int a, int b)
{
	return (a << 3) ^ (b >> 1);
}

__device__ const operation operations[4] = {add, subtract, multiply, mix};

extern "C" __global__ void function_pointers(const int *a, const int *b, int *output, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		output[i] = operations[(a[i] ^ i) & 3](a[i], b[i]);
}

struct shape {
	__device__ virtual float area() const = 0;
	__device__ virtual int sides() const
	{
		return 0;
	}
};

struct square : shape {
	float side;
	__device__ explicit square(float s) : side(s)
	{
	}
	__device__ float area() const override
	{
		return side * side;
	}
	__device__ int sides() const override
	{
		return 4;
	}
};

struct circle : shape {
	float radius;
	__device__ explicit circle(float r) : radius(r)
	{
	}
	__device__ float area() const override
	{
		return 3.0f * radius * radius;
	}
};

__device__ __noinline__ static float measure(const shape *s)
{
	return s->area() + s->sides();
}

extern "C" __global__ void virtual_functions(const float *input, float *output, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	square a(input[i]);
	circle b(input[i]);
	const shape *chosen = i % 5 < 2 ? (const shape *)&a : (const shape *)&b;
	output[i] = measure(chosen);
}

struct large {
	int header;
	double factors[30];
	short tail[21];
	unsigned char last;
};

__device__ __noinline__ static double sum_large(struct large value, int scale)
{
	double sum = value.header;
	for (int i = 0; i < 30; i++)
		sum += value.factors[i] * scale;
	return sum;
}

extern "C" __global__ void large_parameter(char before, struct large value, float after, double *output)
{
	unsigned i = threadIdx.x;
	double result = value.factors[i % 30] + value.tail[i % 21] + value.header + value.last + before + after;
	output[i] = i & 1 ? result : result + sum_large(value, (int)i);
}

/* 4 KiB of parameters: the limit before Volta's large parameters. */
struct page {
	unsigned words[1000];
};

extern "C" __global__ void page_parameter(const __grid_constant__ struct page value, unsigned *output)
{
	for (unsigned i = threadIdx.x; i < 1000; i += blockDim.x)
		output[i] = value.words[999 - i] + 1;
}
