/* SPDX-License-Identifier: Apache-2.0 */
/* N-body step, Mandelbrot set in double, and a separable convolution with a filter in constant memory. */

extern "C" __global__ void n_body(const float4 *bodies, float4 *accelerations, unsigned count, float softening)
{
	__shared__ float4 tile[128];
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	float4 self = bodies[index];
	float ax = 0, ay = 0, az = 0;
	for (unsigned base = 0; base < count; base += blockDim.x) {
		tile[threadIdx.x] = bodies[base + threadIdx.x];
		__syncthreads();
		for (unsigned i = 0; i < blockDim.x; i++) {
			float dx = tile[i].x - self.x, dy = tile[i].y - self.y, dz = tile[i].z - self.z;
			float inverse = rsqrtf(dx * dx + dy * dy + dz * dz + softening);
			float strength = tile[i].w * inverse * inverse * inverse;
			ax += dx * strength;
			ay += dy * strength;
			az += dz * strength;
		}
		__syncthreads();
	}
	accelerations[index] = make_float4(ax, ay, az, 0);
}

/* No contraction: every operation is rounded by itself, so that the host counts the same. */
extern "C" __global__ void mandelbrot(unsigned *counts, int width, int height, double left, double top, double step,
				      unsigned limit)
{
	int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
	if (x >= width || y >= height)
		return;
	double real = __dadd_rn(left, __dmul_rn(x, step)), imaginary = __dadd_rn(top, __dmul_rn(y, step));
	double a = 0, b = 0;
	unsigned turns = 0;
	while (turns < limit) {
		double aa = __dmul_rn(a, a), bb = __dmul_rn(b, b);
		if (__dadd_rn(aa, bb) > 4.0)
			break;
		b = __dadd_rn(__dmul_rn(2.0, __dmul_rn(a, b)), imaginary);
		a = __dadd_rn(__dsub_rn(aa, bb), real);
		turns++;
	}
	counts[y * width + x] = turns;
}

__constant__ float filter[9];

extern "C" __global__ void convolve(const float *input, float *output, int width, int height)
{
	__shared__ float tile[18][18];
	int x = blockIdx.x * 16 + threadIdx.x, y = blockIdx.y * 16 + threadIdx.y;
	for (int row = threadIdx.y; row < 18; row += 16) {
		for (int column = threadIdx.x; column < 18; column += 16) {
			int from_x = (int)(blockIdx.x * 16) + column - 1, from_y = (int)(blockIdx.y * 16) + row - 1;
			bool inside = from_x >= 0 && from_y >= 0 && from_x < width && from_y < height;
			tile[row][column] = inside ? input[from_y * width + from_x] : 0.0f;
		}
	}
	__syncthreads();
	if (x >= width || y >= height)
		return;
	float sum = 0;
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			sum = __fmaf_rn(tile[threadIdx.y + i][threadIdx.x + j], filter[i * 3 + j], sum);
	output[y * width + x] = sum;
}
