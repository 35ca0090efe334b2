/* SPDX-License-Identifier: Apache-2.0 */
/* What a program asks first: devices, properties, versions, memory; and that the answers agree. */
#include <cstring>

#include "program.h"

const char *const program_name = "device_query";

static int attribute(cudaDeviceAttr which)
{
	int value = -1;
	CHECK(cudaDeviceGetAttribute(&value, which, 0));
	return value;
}

int main()
{
	int count = 0, driver = 0, runtime = 0, device = -1;
	CHECK(cudaGetDeviceCount(&count));
	if (count < 1)
		fail("%d devices", count);
	CHECK(cudaDriverGetVersion(&driver));
	CHECK(cudaRuntimeGetVersion(&runtime));
	if (driver / 1000 < runtime / 1000)
		fail("driver version %d is below the runtime's %d", driver, runtime);
	for (int i = 0; i < count; i++) {
		cudaDeviceProp properties;
		char bus[32];
		int found = -1;
		CHECK(cudaGetDeviceProperties(&properties, i));
		CHECK(cudaDeviceGetPCIBusId(bus, sizeof(bus), i));
		CHECK(cudaDeviceGetByPCIBusId(&found, bus));
		printf("device %d: %s, compute %d.%d, %d multiprocessors, %zu bytes, bus %s\n", i, properties.name,
		       properties.major, properties.minor, properties.multiProcessorCount, properties.totalGlobalMem,
		       bus);
		printf("  warp %d, block %d threads, (%d, %d, %d), grid (%d, %d, %d), shared %zu, constant %zu, L2 "
		       "%d\n",
		       properties.warpSize, properties.maxThreadsPerBlock, properties.maxThreadsDim[0],
		       properties.maxThreadsDim[1], properties.maxThreadsDim[2], properties.maxGridSize[0],
		       properties.maxGridSize[1], properties.maxGridSize[2], properties.sharedMemPerBlock,
		       properties.totalConstMem, properties.l2CacheSize);
		if (found != i)
			fail("bus %s is device %d, not %d", bus, found, i);
		if (properties.name[0] == 0 || properties.warpSize != 32 || properties.maxThreadsPerBlock < 512 ||
		    properties.multiProcessorCount < 1 || properties.totalGlobalMem < 1 << 20 ||
		    properties.sharedMemPerBlock < 48 * 1024)
			fail("device %d has properties that no device has", i);
	}
	cudaDeviceProp first;
	CHECK(cudaGetDeviceProperties(&first, 0));
	if (attribute(cudaDevAttrWarpSize) != first.warpSize ||
	    attribute(cudaDevAttrComputeCapabilityMajor) != first.major ||
	    attribute(cudaDevAttrComputeCapabilityMinor) != first.minor ||
	    attribute(cudaDevAttrMultiProcessorCount) != first.multiProcessorCount)
		fail("attributes and properties differ");
	CHECK(cudaGetDevice(&device));
	if (device != 0)
		fail("the current device is %d", device);
	CHECK(cudaSetDevice(count - 1));
	EXPECT(cudaSetDevice(count), cudaErrorInvalidDevice);
	EXPECT(cudaGetLastError(), cudaErrorInvalidDevice);
	EXPECT(cudaGetLastError(), cudaSuccess);
	size_t free_before, free_after, total;
	void *memory;
	CHECK(cudaMemGetInfo(&free_before, &total));
	CHECK(cudaMalloc(&memory, 64 << 20));
	CHECK(cudaMemGetInfo(&free_after, &total));
	if (free_before > total || free_before < free_after + (64 << 20))
		fail("%zu of %zu bytes were free, %zu after 64 MiB were taken", free_before, total, free_after);
	CHECK(cudaFree(memory));
	pass();
}
