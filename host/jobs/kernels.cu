/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in operations of jobs, in double precision as JSON's numbers are. */
extern "C" __global__ void vector_add(const double *a, const double *b, double *result, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		result[i] = a[i] + b[i];
}

extern "C" __global__ void saxpy(double scalar, const double *a, const double *b, double *result, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		result[i] = scalar * a[i] + b[i];
}

extern "C" __global__ void multiply(const double *a, const double *b, double *result, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		result[i] = a[i] * b[i];
}

extern "C" __global__ void matmul(const double *a, const double *b, double *result, unsigned rows, unsigned inner,
				  unsigned columns)
{
	unsigned column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
	double sum = 0;
	if (row >= rows || column >= columns)
		return;
	for (unsigned i = 0; i < inner; i++)
		sum += a[row * inner + i] * b[i * columns + column];
	result[row * columns + column] = sum;
}

__device__ static double combine(double a, double b, unsigned how)
{
	return how == 0 ? a + b : how == 1 ? fmin(a, b) : fmax(a, b);
}

/* One block of 256 threads; how: 0 sum, 1 least, 2 greatest. */
extern "C" __global__ void reduce(const double *a, double *result, unsigned count, unsigned how)
{
	__shared__ double parts[256];
	unsigned thread = threadIdx.x;
	double part = thread < count ? a[thread] : how == 0 ? 0.0 : a[0];
	for (unsigned i = thread + 256; i < count; i += 256)
		part = combine(part, a[i], how);
	parts[thread] = part;
	for (unsigned step = 128; step; step /= 2) {
		__syncthreads();
		if (thread < step)
			parts[thread] = combine(parts[thread], parts[thread + step], how);
	}
	if (thread == 0)
		*result = parts[0];
}
