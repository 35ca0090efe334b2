/* SPDX-License-Identifier: Apache-2.0 */
/* An image as an array and as pitched memory: filtered, read as bytes, turned by a surface. */
#include <cmath>
#include <cstring>
#include <vector>

#include "program.h"

const char *const program_name = "texture_2d";

enum { WIDTH = 96, HEIGHT = 40, OUT_WIDTH = 250, OUT_HEIGHT = 130 };

static __global__ void enlarge(cudaTextureObject_t image, float *out)
{
	unsigned x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
	if (x < OUT_WIDTH && y < OUT_HEIGHT)
		out[y * OUT_WIDTH + x] =
			tex2D<float>(image, (x + 0.5f) * WIDTH / OUT_WIDTH, (y + 0.5f) * HEIGHT / OUT_HEIGHT);
}

static __global__ void turn(cudaTextureObject_t image, cudaSurfaceObject_t turned)
{
	unsigned x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
	if (x < WIDTH && y < HEIGHT)
		surf2Dwrite(tex2D<unsigned char>(image, x + 0.5f, y + 0.5f), turned, y, x);
}

static float pixel(const std::vector<unsigned char> &image, int x, int y)
{
	x = x < 0 ? 0 : x >= WIDTH ? WIDTH - 1 : x;
	y = y < 0 ? 0 : y >= HEIGHT ? HEIGHT - 1 : y;
	return image[(size_t)y * WIDTH + (size_t)x] / 255.0f;
}

static float bilinear(const std::vector<unsigned char> &image, float x, float y)
{
	x -= 0.5f;
	y -= 0.5f;
	int i = (int)std::floor(x), j = (int)std::floor(y);
	float a = x - std::floor(x), b = y - std::floor(y);
	return (1 - a) * (1 - b) * pixel(image, i, j) + a * (1 - b) * pixel(image, i + 1, j) +
	       (1 - a) * b * pixel(image, i, j + 1) + a * b * pixel(image, i + 1, j + 1);
}

static void compare(cudaTextureObject_t texture, const std::vector<unsigned char> &image, const char *what)
{
	float *device;
	CHECK(cudaMalloc(&device, OUT_WIDTH * OUT_HEIGHT * sizeof(float)));
	enlarge<<<dim3((OUT_WIDTH + 15) / 16, (OUT_HEIGHT + 15) / 16), dim3(16, 16)>>>(texture, device);
	CHECK(cudaGetLastError());
	std::vector<float> out(OUT_WIDTH * OUT_HEIGHT);
	CHECK(cudaMemcpy(out.data(), device, out.size() * sizeof(float), cudaMemcpyDeviceToHost));
	for (int i = 0; i < OUT_WIDTH * OUT_HEIGHT; i++) {
		float expected = bilinear(image, (i % OUT_WIDTH + 0.5f) * WIDTH / OUT_WIDTH,
					  (i / OUT_WIDTH + 0.5f) * HEIGHT / OUT_HEIGHT);
		/* The weights have 8 bits. */
		if (std::fabs(out[i] - expected) > 2.0f / 256)
			fail("%s: %d is %g, expected %g", what, i, out[i], expected);
	}
	CHECK(cudaFree(device));
}

int main()
{
	std::vector<unsigned char> image(WIDTH * HEIGHT), back(WIDTH * HEIGHT);
	for (size_t i = 0; i < image.size(); i++)
		image[i] = (unsigned char)(i * 31 + i / WIDTH * 7);

	cudaChannelFormatDesc format = cudaCreateChannelDesc<unsigned char>();
	cudaArray_t array, turned;
	CHECK(cudaMallocArray(&array, &format, WIDTH, HEIGHT));
	CHECK(cudaMallocArray(&turned, &format, HEIGHT, WIDTH, cudaArraySurfaceLoadStore));
	CHECK(cudaMemcpy2DToArray(array, 0, 0, image.data(), WIDTH, WIDTH, HEIGHT, cudaMemcpyHostToDevice));
	CHECK(cudaMemcpy2DFromArray(back.data(), WIDTH, array, 0, 0, WIDTH, HEIGHT, cudaMemcpyDeviceToHost));
	if (back != image)
		fail("the array came back changed");

	cudaResourceDesc resource = {};
	resource.resType = cudaResourceTypeArray;
	resource.res.array.array = array;
	cudaTextureDesc description = {};
	description.addressMode[0] = description.addressMode[1] = cudaAddressModeClamp;
	description.filterMode = cudaFilterModeLinear;
	description.readMode = cudaReadModeNormalizedFloat;
	cudaTextureObject_t texture;
	CHECK(cudaCreateTextureObject(&texture, &resource, &description, nullptr));
	compare(texture, image, "array");
	cudaResourceDesc told;
	CHECK(cudaGetTextureObjectResourceDesc(&told, texture));
	if (told.resType != cudaResourceTypeArray || told.res.array.array != array)
		fail("the texture tells another resource");
	CHECK(cudaDestroyTextureObject(texture));

	unsigned char *pitched;
	size_t pitch;
	CHECK(cudaMallocPitch(&pitched, &pitch, WIDTH, HEIGHT));
	CHECK(cudaMemcpy2D(pitched, pitch, image.data(), WIDTH, WIDTH, HEIGHT, cudaMemcpyHostToDevice));
	resource = {};
	resource.resType = cudaResourceTypePitch2D;
	resource.res.pitch2D.devPtr = pitched;
	resource.res.pitch2D.desc = format;
	resource.res.pitch2D.width = WIDTH;
	resource.res.pitch2D.height = HEIGHT;
	resource.res.pitch2D.pitchInBytes = pitch;
	CHECK(cudaCreateTextureObject(&texture, &resource, &description, nullptr));
	compare(texture, image, "pitched");
	CHECK(cudaDestroyTextureObject(texture));

	description.filterMode = cudaFilterModePoint;
	description.readMode = cudaReadModeElementType;
	CHECK(cudaCreateTextureObject(&texture, &resource, &description, nullptr));
	resource = {};
	resource.resType = cudaResourceTypeArray;
	resource.res.array.array = turned;
	cudaSurfaceObject_t surface;
	CHECK(cudaCreateSurfaceObject(&surface, &resource));
	turn<<<dim3(WIDTH / 16, (HEIGHT + 15) / 16), dim3(16, 16)>>>(texture, surface);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy2DFromArray(back.data(), HEIGHT, turned, 0, 0, HEIGHT, WIDTH, cudaMemcpyDeviceToHost));
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		if (back[i] != image[i % HEIGHT * WIDTH + i / HEIGHT])
			fail("turned %d is %d", i, back[i]);
	CHECK(cudaDestroySurfaceObject(surface));
	CHECK(cudaDestroyTextureObject(texture));
	size_t widest;
	CHECK(cudaDeviceGetTexture1DLinearMaxWidth(&widest, &format, 0));
	if (widest < 1u << 20)
		fail("a texture of linear memory may have %zu texels only", widest);
	CHECK(cudaFreeArray(array));
	CHECK(cudaFreeArray(turned));
	CHECK(cudaFree(pitched));
	pass();
}
