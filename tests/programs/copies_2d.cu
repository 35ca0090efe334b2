/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of every shape: device to device, 2D with pitches, 3D, memsets, untyped direction. */
#include <cstring>
#include <vector>

#include "program.h"

const char *const program_name = "copies_2d";

int main()
{
	const size_t width = 300, height = 40;
	std::vector<unsigned char> host(512 * height), back(400 * height);
	for (size_t i = 0; i < host.size(); i++)
		host[i] = (unsigned char)(i * 13 + i / 512);
	unsigned char *device, *second;
	size_t pitch;
	CHECK(cudaMallocPitch(&device, &pitch, width, height));
	if (pitch < width || pitch % 32 != 0)
		fail("pitch is %zu", pitch);
	CHECK(cudaMalloc(&second, pitch * height));
	CHECK(cudaMemset(second, 0x5a, pitch * height));
	CHECK(cudaMemcpy2D(device, pitch, host.data(), 512, width, height, cudaMemcpyHostToDevice));
	CHECK(cudaMemcpy2DAsync(second, pitch, device, pitch, width - 10, height, cudaMemcpyDeviceToDevice, 0));
	CHECK(cudaMemset2D(second, pitch, 7, 20, height));
	CHECK(cudaMemcpy2D(back.data(), 400, second, pitch, width, height, cudaMemcpyDeviceToHost));
	for (size_t y = 0; y < height; y++)
		for (size_t x = 0; x < width; x++) {
			unsigned char expected = x < 20 ? 7 : (x < width - 10 ? host[y * 512 + x] : 0x5a);
			if (back[y * 400 + x] != expected)
				fail("row %zu column %zu is %u, expected %u", y, x, back[y * 400 + x], expected);
		}
	CHECK(cudaMemcpy(second, device, width, cudaMemcpyDefault));
	CHECK(cudaMemcpy(back.data(), second, width, cudaMemcpyDefault));
	if (memcmp(back.data(), host.data(), width) != 0)
		fail("cudaMemcpyDefault copied something else");

	EXPECT(cudaMemcpy(back.data(), nullptr, 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
	cudaGetLastError();

	cudaExtent extent = make_cudaExtent(48, 10, 6);
	cudaPitchedPtr volume;
	std::vector<unsigned char> cube(48 * 10 * 6), cube_back(cube.size());
	for (size_t i = 0; i < cube.size(); i++)
		cube[i] = (unsigned char)(i * 31);
	CHECK(cudaMalloc3D(&volume, extent));
	cudaMemcpy3DParms copy = {};
	copy.srcPtr = make_cudaPitchedPtr(cube.data(), 48, 48, 10);
	copy.dstPtr = volume;
	copy.extent = extent;
	copy.kind = cudaMemcpyHostToDevice;
	CHECK(cudaMemcpy3D(&copy));
	copy.srcPtr = volume;
	copy.dstPtr = make_cudaPitchedPtr(cube_back.data(), 48, 48, 10);
	copy.kind = cudaMemcpyDeviceToHost;
	CHECK(cudaMemcpy3D(&copy));
	if (cube != cube_back)
		fail("the volume came back changed");
	CHECK(cudaFree(volume.ptr));
	CHECK(cudaFree(device));
	CHECK(cudaFree(second));
	pass();
}
