/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes, layers, cubes and mipmaps, by the runtime's calls. */
#include <cmath>
#include <vector>

#include "program.h"

const char *const program_name = "texture_shapes";

enum { SIDE = 16, LAYERS = 6, LEVELS = 4, COUNT = SIDE * SIDE * LAYERS };

static __global__ void read_volume(cudaTextureObject_t texture, float *out)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < COUNT)
		out[i] = tex3D<float>(texture, i % SIDE + 0.5f, i / SIDE % SIDE + 0.5f, i / (SIDE * SIDE) + 0.5f);
}

static __global__ void read_layers(cudaTextureObject_t texture, float *out)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < COUNT)
		out[i] = tex2DLayered<float>(texture, i % SIDE + 0.5f, i / SIDE % SIDE + 0.5f, i / (SIDE * SIDE));
}

static __global__ void read_cube(cudaTextureObject_t texture, float *out)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= COUNT)
		return;
	float s = (i % SIDE + 0.5f) / SIDE * 2 - 1, t = (i / SIDE % SIDE + 0.5f) / SIDE * 2 - 1;
	switch (i / (SIDE * SIDE)) {
	case 0:
		out[i] = texCubemap<float>(texture, 1, -t, -s);
		break;
	case 1:
		out[i] = texCubemap<float>(texture, -1, -t, s);
		break;
	case 2:
		out[i] = texCubemap<float>(texture, s, 1, t);
		break;
	case 3:
		out[i] = texCubemap<float>(texture, s, -1, -t);
		break;
	case 4:
		out[i] = texCubemap<float>(texture, s, -t, 1);
		break;
	default:
		out[i] = texCubemap<float>(texture, -s, -t, -1);
	}
}

/* Each level is the one before with its texels averaged. */
static __global__ void reduce(cudaTextureObject_t from, cudaSurfaceObject_t to, unsigned side)
{
	unsigned x = threadIdx.x, y = threadIdx.y;
	if (x < side && y < side)
		surf2Dwrite(tex2D<float>(from, (x + 0.5f) / side, (y + 0.5f) / side), to, x * 4, y);
}

static __global__ void read_level(cudaTextureObject_t texture, float level, float *out)
{
	out[threadIdx.x] = tex2DLod<float>(texture, 0.5f, 0.5f, level);
}

static void array_fill(cudaArray_t array, std::vector<float> &texels, cudaExtent extent)
{
	cudaMemcpy3DParms copy = {};
	copy.srcPtr = make_cudaPitchedPtr(texels.data(), extent.width * sizeof(float), extent.width, extent.height);
	copy.dstArray = array;
	copy.extent = extent;
	copy.kind = cudaMemcpyHostToDevice;
	CHECK(cudaMemcpy3D(&copy));
}

static cudaTextureObject_t texture_of(cudaArray_t array, cudaTextureDesc description)
{
	cudaResourceDesc resource = {};
	resource.resType = cudaResourceTypeArray;
	resource.res.array.array = array;
	cudaTextureObject_t texture;
	CHECK(cudaCreateTextureObject(&texture, &resource, &description, nullptr));
	return texture;
}

static void shape_check(const char *what, unsigned flags, bool normalised, void (*kernel)(cudaTextureObject_t, float *))
{
	std::vector<float> texels(COUNT), out(COUNT);
	for (int i = 0; i < COUNT; i++)
		texels[i] = (float)(i * 37 % 1009);
	cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
	cudaExtent extent = make_cudaExtent(SIDE, SIDE, LAYERS);
	cudaArray_t array;
	CHECK(cudaMalloc3DArray(&array, &format, extent, flags));
	array_fill(array, texels, extent);
	cudaTextureDesc description = {};
	for (cudaTextureAddressMode &mode : description.addressMode)
		mode = cudaAddressModeClamp;
	description.filterMode = cudaFilterModePoint;
	description.normalizedCoords = normalised;
	cudaTextureObject_t texture = texture_of(array, description);
	float *device;
	CHECK(cudaMalloc(&device, COUNT * sizeof(float)));
	kernel<<<(COUNT + 127) / 128, 128>>>(texture, device);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy(out.data(), device, COUNT * sizeof(float), cudaMemcpyDeviceToHost));
	for (int i = 0; i < COUNT; i++)
		if (out[i] != texels[i])
			fail("%s: %d is %g, expected %g", what, i, out[i], texels[i]);
	cudaChannelFormatDesc got;
	cudaExtent got_extent;
	unsigned got_flags;
	CHECK(cudaArrayGetInfo(&got, &got_extent, &got_flags, array));
	if (got.x != 32 || got.f != cudaChannelFormatKindFloat || got_extent.width != SIDE ||
	    got_extent.height != SIDE || got_extent.depth != LAYERS || got_flags != flags)
		fail("%s: the array says that it is another", what);
	CHECK(cudaDestroyTextureObject(texture));
	CHECK(cudaFreeArray(array));
	CHECK(cudaFree(device));
}

static void mipmap_check()
{
	cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
	std::vector<float> texels(SIDE * SIDE);
	double mean = 0;
	for (size_t i = 0; i < texels.size(); i++) {
		texels[i] = (float)(i * 37 % 101);
		mean += texels[i] / (double)texels.size();
	}
	cudaMipmappedArray_t mipmap;
	CHECK(cudaMallocMipmappedArray(&mipmap, &format, make_cudaExtent(SIDE, SIDE, 0), LEVELS + 1,
				       cudaArraySurfaceLoadStore));
	cudaArray_t level;
	CHECK(cudaGetMipmappedArrayLevel(&level, mipmap, 0));
	CHECK(cudaMemcpy2DToArray(level, 0, 0, texels.data(), SIDE * 4, SIDE * 4, SIDE, cudaMemcpyHostToDevice));
	cudaTextureDesc description = {};
	description.addressMode[0] = description.addressMode[1] = cudaAddressModeClamp;
	description.filterMode = cudaFilterModeLinear;
	description.mipmapFilterMode = cudaFilterModeLinear;
	description.normalizedCoords = 1;
	description.maxMipmapLevelClamp = LEVELS;
	for (unsigned number = 1; number <= LEVELS; number++) {
		cudaArray_t next;
		CHECK(cudaGetMipmappedArrayLevel(&next, mipmap, number));
		cudaTextureObject_t from = texture_of(level, description);
		cudaResourceDesc resource = {};
		resource.resType = cudaResourceTypeArray;
		resource.res.array.array = next;
		cudaSurfaceObject_t to;
		CHECK(cudaCreateSurfaceObject(&to, &resource));
		reduce<<<1, dim3(SIDE, SIDE)>>>(from, to, SIDE >> number);
		CHECK(cudaDeviceSynchronize());
		CHECK(cudaDestroySurfaceObject(to));
		CHECK(cudaDestroyTextureObject(from));
		level = next;
	}
	cudaResourceDesc resource = {};
	resource.resType = cudaResourceTypeMipmappedArray;
	resource.res.mipmap.mipmap = mipmap;
	cudaTextureObject_t texture;
	CHECK(cudaCreateTextureObject(&texture, &resource, &description, nullptr));
	float *device, top[2];
	CHECK(cudaMalloc(&device, sizeof(top)));
	read_level<<<1, 1>>>(texture, (float)LEVELS, device);
	read_level<<<1, 1>>>(texture, (float)LEVELS + 10, device + 1);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy(top, device, sizeof(top), cudaMemcpyDeviceToHost));
	if (std::fabs(top[0] - mean) > 0.01 || top[1] != top[0])
		fail("the smallest level is %g and %g, the mean %g", top[0], top[1], mean);
	CHECK(cudaDestroyTextureObject(texture));
	CHECK(cudaFreeMipmappedArray(mipmap));
	CHECK(cudaFree(device));
}

int main()
{
	shape_check("volume", 0, false, read_volume);
	shape_check("layers", cudaArrayLayered, false, read_layers);
	shape_check("cube", cudaArrayCubemap, true, read_cube);
	mipmap_check();
	pass();
}
