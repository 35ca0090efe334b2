/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual memory management under kernels of the runtime API: a vector that grows in place. */
#include <cuda.h>

#include "program.h"

const char *const program_name = "vmm";

template <typename function> static function *entry(const char *name)
{
	void *address = nullptr;
	cudaDriverEntryPointQueryResult found;
	CHECK(cudaGetDriverEntryPointByVersion(name, &address, 11000, cudaEnableDefault, &found));
	if (found != cudaDriverEntryPointSuccess || address == nullptr)
		fail("%s is not there", name);
	return (function *)address;
}

__global__ static void fill(unsigned *words, size_t count)
{
	size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
	if (i < count)
		words[i] = (unsigned)i * 7 + 1;
}

__global__ static void add_up(const unsigned *words, size_t count, unsigned long long *sum)
{
	size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
	if (i < count)
		atomicAdd(sum, (unsigned long long)words[i]);
}

static void works(CUresult result, const char *call)
{
	if (result != CUDA_SUCCESS)
		fail("%s: %d", call, (int)result);
}

int main()
{
	int supported = 0;
	CHECK(cudaFree(nullptr));
	auto attribute = entry<CUresult(int *, CUdevice_attribute, CUdevice)>("cuDeviceGetAttribute");
	works(attribute(&supported, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 0), "the attribute");
	if (!supported)
		skip("the device says that it has no virtual memory management");
	auto granularity = entry<decltype(cuMemGetAllocationGranularity)>("cuMemGetAllocationGranularity");
	auto reserve = entry<decltype(cuMemAddressReserve)>("cuMemAddressReserve");
	auto create = entry<decltype(cuMemCreate)>("cuMemCreate");
	auto map = entry<decltype(cuMemMap)>("cuMemMap");
	auto set_access = entry<decltype(cuMemSetAccess)>("cuMemSetAccess");
	auto unmap = entry<decltype(cuMemUnmap)>("cuMemUnmap");
	auto release = entry<decltype(cuMemRelease)>("cuMemRelease");
	auto free_address = entry<decltype(cuMemAddressFree)>("cuMemAddressFree");

	CUmemAllocationProp properties = {};
	properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
	properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	CUmemAccessDesc access = {};
	access.location = properties.location;
	access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	size_t granule;
	works(granularity(&granule, &properties, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED), "cuMemGetAllocationGranularity");

	const size_t parts = 3;
	CUdeviceptr base;
	unsigned long long *sum, result;
	CHECK(cudaMalloc(&sum, sizeof(*sum)));
	works(reserve(&base, 8 * granule, 0, 0, 0), "cuMemAddressReserve");
	for (size_t part = 0; part < parts; part++) {
		CUmemGenericAllocationHandle handle;
		works(create(&handle, granule, &properties, 0), "cuMemCreate");
		works(map(base + part * granule, granule, 0, handle, 0), "cuMemMap");
		works(release(handle), "cuMemRelease");
		works(set_access(base + part * granule, granule, &access, 1), "cuMemSetAccess");

		const size_t count = (part + 1) * granule / sizeof(unsigned);
		const unsigned blocks = (unsigned)((count + 255) / 256);
		CHECK(cudaMemset(sum, 0, sizeof(*sum)));
		fill<<<blocks, 256>>>((unsigned *)base, count);
		add_up<<<blocks, 256>>>((const unsigned *)base, count, sum);
		CHECK(cudaMemcpy(&result, sum, sizeof(result), cudaMemcpyDeviceToHost));
		if (result != 7ull * count * (count - 1) / 2 + count)
			fail("with %zu parts the sum is %llu", part + 1, result);
	}
	works(unmap(base, parts * granule), "cuMemUnmap");
	works(free_address(base, 8 * granule), "cuMemAddressFree");
	CHECK(cudaFree(sum));
	pass();
}
