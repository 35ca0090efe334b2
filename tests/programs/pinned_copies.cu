/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned, registered and mapped host memory, in odd sizes and at odd offsets. */
#include <cstdint>
#include <cstring>
#include <vector>

#include "program.h"

const char *const program_name = "pinned_copies";

__global__ static void increment(unsigned char *bytes, size_t count)
{
	for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
		bytes[i]++;
}

static void copy_there_and_back(unsigned char *host, unsigned char *device, size_t bytes, const char *kind)
{
	for (size_t i = 0; i < bytes; i++)
		host[i] = (unsigned char)(i * 7 + bytes);
	CHECK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, 0));
	increment<<<32, 128>>>(device, bytes);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, 0));
	CHECK(cudaStreamSynchronize(0));
	for (size_t i = 0; i < bytes; i++)
		if (host[i] != (unsigned char)(i * 7 + bytes + 1))
			fail("%s, %zu bytes: byte %zu is %u", kind, bytes, i, host[i]);
}

int main()
{
	const size_t most = 3 * 1024 * 1024 + 5;
	static const size_t sizes[] = {1, 7, 4096, 65537, most - 3};
	unsigned char *device, *pinned, *seen;
	CHECK(cudaMalloc(&device, most));
	CHECK(cudaHostAlloc(&pinned, most, cudaHostAllocDefault));
	for (size_t bytes : sizes)
		copy_there_and_back(pinned + 3, device + 1, bytes, "pinned");
	cudaPointerAttributes attributes;
	CHECK(cudaPointerGetAttributes(&attributes, pinned));
	if (attributes.type != cudaMemoryTypeHost)
		fail("pinned memory is of type %d", (int)attributes.type);
	CHECK(cudaPointerGetAttributes(&attributes, device));
	if (attributes.type != cudaMemoryTypeDevice || attributes.devicePointer != device)
		fail("device memory is of type %d at %p", (int)attributes.type, attributes.devicePointer);
	CHECK(cudaFreeHost(pinned));

	std::vector<unsigned char> pageable(most);
	for (size_t bytes : sizes)
		copy_there_and_back(pageable.data(), device, bytes, "pageable");

	void *pages;
	if (posix_memalign(&pages, 4096, 65536) != 0)
		fail("no memory");
	cudaError_t error = cudaHostRegister(pages, 65536, cudaHostRegisterDefault);
	if (error == cudaErrorNotSupported)
		skip("cudaHostRegister: %s; the rest is right", cudaGetErrorName(error));
	CHECK(error);
	copy_there_and_back((unsigned char *)pages, device, 65536, "registered");
	CHECK(cudaHostUnregister(pages));
	free(pages);

	error = cudaHostAlloc(&pinned, 65536, cudaHostAllocMapped);
	if (error == cudaSuccess)
		error = cudaHostGetDevicePointer((void **)&seen, pinned, 0);
	if (error == cudaErrorNotSupported)
		skip("mapped host memory: %s; the copies are right", cudaGetErrorName(error));
	CHECK(error);
	memset(pinned, 41, 65536);
	increment<<<4, 64>>>(seen, 65536);
	CHECK(cudaDeviceSynchronize());
	for (int i = 0; i < 65536; i++)
		if (pinned[i] != 42)
			fail("mapped byte %d is %u", i, pinned[i]);
	CHECK(cudaFreeHost(pinned));
	CHECK(cudaFree(device));
	pass();
}
