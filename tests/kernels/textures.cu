/* SPDX-License-Identifier: Apache-2.0 */
/* Textures and surfaces, by handle. Each thread takes one place from a list of coordinates. */
#include <cuda_runtime.h>

#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)

extern "C" __global__ void sample_1d(cudaTextureObject_t texture, const float *at, float *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = tex1D<float>(texture, at[INDEX]);
}

extern "C" __global__ void sample_2d(cudaTextureObject_t texture, const float2 *at, float *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = tex2D<float>(texture, at[INDEX].x, at[INDEX].y);
}

extern "C" __global__ void sample_2d_float4(cudaTextureObject_t texture, const float2 *at, float4 *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = tex2D<float4>(texture, at[INDEX].x, at[INDEX].y);
}

extern "C" __global__ void sample_2d_int4(cudaTextureObject_t texture, const float2 *at, int4 *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = tex2D<int4>(texture, at[INDEX].x, at[INDEX].y);
}

extern "C" __global__ void sample_2d_uint(cudaTextureObject_t texture, const float2 *at, unsigned *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = tex2D<unsigned>(texture, at[INDEX].x, at[INDEX].y);
}

extern "C" __global__ void sample_3d(cudaTextureObject_t texture, const float4 *at, float *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = tex3D<float>(texture, at[INDEX].x, at[INDEX].y, at[INDEX].z);
}

/* x, y, layer */
extern "C" __global__ void sample_layered(cudaTextureObject_t texture, const float4 *at, float *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = tex2DLayered<float>(texture, at[INDEX].x, at[INDEX].y, (int)at[INDEX].z);
}

extern "C" __global__ void sample_layered_1d(cudaTextureObject_t texture, const float2 *at, float *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = tex1DLayered<float>(texture, at[INDEX].x, (int)at[INDEX].y);
}

extern "C" __global__ void sample_cube(cudaTextureObject_t texture, const float4 *at, float *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = texCubemap<float>(texture, at[INDEX].x, at[INDEX].y, at[INDEX].z);
}

extern "C" __global__ void sample_cube_layered(cudaTextureObject_t texture, const float4 *at, float *out,
					       unsigned count)
{
	if (INDEX < count)
		out[INDEX] = texCubemapLayered<float>(texture, at[INDEX].x, at[INDEX].y, at[INDEX].z, (int)at[INDEX].w);
}

/* x, y, level */
extern "C" __global__ void sample_level(cudaTextureObject_t texture, const float4 *at, float *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = tex2DLod<float>(texture, at[INDEX].x, at[INDEX].y, at[INDEX].z);
}

/* x, y, and a gradient of z along both axes */
extern "C" __global__ void sample_gradient(cudaTextureObject_t texture, const float4 *at, float *out, unsigned count)
{
	if (INDEX < count) {
		float4 place = at[INDEX];

		out[INDEX] = tex2DGrad<float>(texture, place.x, place.y, make_float2(place.z, 0.0f),
					      make_float2(0.0f, place.z));
	}
}

extern "C" __global__ void gather_second(cudaTextureObject_t texture, const float2 *at, float4 *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = tex2Dgather<float4>(texture, at[INDEX].x, at[INDEX].y, 1);
}

extern "C" __global__ void fetch_linear(cudaTextureObject_t texture, const int *at, float4 *out, unsigned count)
{
	if (INDEX < count)
		out[INDEX] = tex1Dfetch<float4>(texture, at[INDEX]);
}

/* Doubles every texel of a 2D surface in place. */
extern "C" __global__ void surface_double(cudaSurfaceObject_t surface, unsigned width, unsigned height)
{
	unsigned x = INDEX % width, y = INDEX / width;

	if (y < height)
		surf2Dwrite(2.0f * surf2Dread<float>(surface, x * 4, y), surface, x * 4, y);
}

/* Numbers the texels of layers, volumes, and one row. */
extern "C" __global__ void surface_number(cudaSurfaceObject_t layered, cudaSurfaceObject_t volume,
					  cudaSurfaceObject_t row, unsigned width, unsigned height, unsigned depth)
{
	unsigned x = INDEX % width, y = INDEX / width % height, z = INDEX / width / height;

	if (z >= depth)
		return;
	surf2DLayeredwrite((unsigned short)INDEX, layered, x * 2, y, z);
	surf3Dwrite(make_uchar4(x, y, z, 7), volume, x * 4, y, z);
	if (!y && !z)
		surf1Dwrite(make_int2((int)x, -(int)x), row, x * 8);
}

/* Beyond the edges: clamped and zero. */
extern "C" __global__ void surface_edges(cudaSurfaceObject_t surface, const int2 *at, uchar4 *clamped, uchar4 *zero,
					 unsigned count)
{
	if (INDEX >= count)
		return;
	clamped[INDEX] = surf2Dread<uchar4>(surface, at[INDEX].x * 4, at[INDEX].y, cudaBoundaryModeClamp);
	zero[INDEX] = surf2Dread<uchar4>(surface, at[INDEX].x * 4, at[INDEX].y, cudaBoundaryModeZero);
}
