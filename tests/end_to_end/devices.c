/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two devices of one program, with any libcuda.so.1 that has so many. Run by test_devices.py.
 * devices look: prints what CUDA and NVML (VGPU_TEST_NVML, its path) say of the devices, as JSON, NVML being asked
 * first; then keeps a context on device 0 until a line comes.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "memory_calls.h"
#include "nvml_abi.h"

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device);
CUresult cuDeviceGetName(char *name, int bytes, CUdevice device);
CUresult cuDeviceGetPCIBusId(char *text, int bytes, CUdevice device);
CUresult cuDeviceGetByPCIBusId(CUdevice *device, const char *text);
CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext context);
CUresult cuEventCreate(CUevent *event, unsigned int flags);
CUresult cuEventRecord(CUevent event, CUstream stream);
CUresult cuEventDestroy_v2(CUevent event);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);
CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream);

#define BYTES 65536u
#define WORDS (BYTES / 4)
#define MIB   ((size_t)1 << 20)

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static CUcontext contexts[2];

static int setup(void **state)
{
	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&contexts[0], 0) || cuDevicePrimaryCtxRetain(&contexts[1], 1);
}

static size_t free_bytes(void)
{
	size_t free, total;

	WORKS(cuMemGetInfo_v2(&free, &total));
	return free;
}

/* A GPU's driver takes a little more for itself on the way. */
static void free_bytes_expect(size_t wanted)
{
	size_t free = free_bytes();

	assert_in_range(free, wanted - MIB, wanted + MIB);
}

static bool device_is_software(void)
{
	char name[64];

	WORKS(cuDeviceGetName(name, sizeof(name), 0));
	return strncmp(name, "softgpu", 7) == 0;
}

static void test_identity(void **state)
{
	char bus[2][32];
	CUdevice device;
	CUuuid uuid[2];
	int count;

	(void)state;
	WORKS(cuDeviceGetCount(&count));
	assert_int_equal(count, 2);
	for (int i = 0; i < 2; i++) {
		WORKS(cuDeviceGetUuid_v2(&uuid[i], i));
		WORKS(cuDeviceGetPCIBusId(bus[i], sizeof(bus[i]), i));
		WORKS(cuDeviceGetByPCIBusId(&device, bus[i]));
		assert_int_equal(device, i);
		WORKS(cuCtxGetDevice_v2(&device, contexts[i]));
		assert_int_equal(device, i);
		WORKS(cuCtxSetCurrent(contexts[i]));
		WORKS(cuCtxGetDevice(&device));
		assert_int_equal(device, i);
	}
	assert_memory_not_equal(&uuid[0], &uuid[1], sizeof(uuid[0]));
	assert_string_not_equal(bus[0], bus[1]);
	assert_int_equal(cuDeviceGet(&device, 2), CUDA_ERROR_INVALID_DEVICE);
}

/* Each device has memory of its own, and what is allocated says whose it is. */
static void test_memory(void **state)
{
	CUdeviceptr memory[2], pooled;
	size_t before[2], total;
	int ordinal;

	(void)state;
	for (int i = 0; i < 2; i++) {
		WORKS(cuCtxSetCurrent(contexts[i]));
		before[i] = free_bytes();
	}
	for (int i = 0; i < 2; i++) {
		WORKS(cuCtxSetCurrent(contexts[i]));
		WORKS(cuMemAlloc_v2(&memory[i], 4 * MIB));
		WORKS(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, memory[i]));
		assert_int_equal(ordinal, i);
	}
	WORKS(cuMemAllocAsync(&pooled, 2 * MIB, NULL));
	WORKS(cuCtxSynchronize());
	WORKS(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, pooled));
	assert_int_equal(ordinal, 1);
	WORKS(cuCtxSetCurrent(contexts[0]));
	free_bytes_expect(before[0] - 4 * MIB);
	WORKS(cuCtxSetCurrent(contexts[1]));
	assert_true(free_bytes() <= before[1] - 6 * MIB);
	WORKS(cuMemFreeAsync(pooled, NULL));
	WORKS(cuCtxSynchronize());
	/* One cannot have the other's. */
	WORKS(cuDeviceTotalMem_v2(&total, 1));
	assert_int_equal(cuMemAlloc_v2(&pooled, total + MIB), CUDA_ERROR_OUT_OF_MEMORY);
	for (int i = 0; i < 2; i++) {
		WORKS(cuCtxSetCurrent(contexts[i]));
		WORKS(cuMemFree_v2(memory[i]));
		free_bytes_expect(before[i]);
	}
}

/* Kernels on both, an event from one to the other, copies between them. */
static void test_work(void **state)
{
	static uint32_t words[WORDS];
	CUdeviceptr memory[2];
	CUfunction functions[2];
	CUmodule modules[2];
	CUstream streams[2];
	CUevent event;
	int can = 0;

	(void)state;
	WORKS(cuDeviceCanAccessPeer(&can, 0, 1));
	assert_int_equal(can, 1);
	for (int i = 0; i < 2; i++) {
		WORKS(cuCtxSetCurrent(contexts[i]));
		WORKS(cuModuleLoadData(&modules[i], increment_image));
		WORKS(cuModuleGetFunction(&functions[i], modules[i], "increment"));
		WORKS(cuStreamCreate(&streams[i], 1));
		WORKS(cuMemAlloc_v2(&memory[i], BYTES));
		WORKS(cuMemsetD32_v2(memory[i], (unsigned)i * 100, WORDS));
		WORKS(cuCtxSynchronize());
	}
	WORKS(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	WORKS(cuCtxEnablePeerAccess(contexts[0], 0));
	assert_int_equal(cuCtxEnablePeerAccess(contexts[0], 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
	/* Device 1 adds to its own memory and, as a peer, to device 0's; device 0 goes on from there. */
	for (int i = 0; i < 2; i++)
		WORKS(cuLaunchKernel(functions[1], WORDS / 256, 1, 1, 256, 1, 1, 0, streams[1], (void *[]){&memory[i]},
				     NULL));
	WORKS(cuEventRecord(event, streams[1]));
	WORKS(cuCtxSetCurrent(contexts[0]));
	WORKS(cuStreamWaitEvent(streams[0], event, 0));
	WORKS(cuLaunchKernel(functions[0], WORDS / 256, 1, 1, 256, 1, 1, 0, streams[0], (void *[]){&memory[0]}, NULL));
	WORKS(cuStreamSynchronize(streams[0]));
	WORKS(cuMemcpyDtoH_v2(words, memory[0], BYTES));
	assert_int_equal(words[0], 2);
	assert_int_equal(words[WORDS - 1], 2);
	WORKS(cuMemcpyPeerAsync(memory[0], contexts[0], memory[1], contexts[1], BYTES, streams[0]));
	WORKS(cuStreamSynchronize(streams[0]));
	WORKS(cuMemcpyDtoH_v2(words, memory[0], BYTES));
	assert_int_equal(words[WORDS - 1], 101);
	WORKS(cuMemsetD32_v2(memory[0], 7, WORDS));
	WORKS(cuCtxSynchronize());
	WORKS(cuMemcpyPeer(memory[1], contexts[1], memory[0], contexts[0], BYTES));
	WORKS(cuCtxSetCurrent(contexts[1]));
	WORKS(cuMemcpyDtoH_v2(words, memory[1], BYTES));
	assert_int_equal(words[0], 7);
	WORKS(cuCtxDisablePeerAccess(contexts[0]));
	WORKS(cuEventDestroy_v2(event));
	for (int i = 0; i < 2; i++) {
		WORKS(cuCtxSetCurrent(contexts[i]));
		WORKS(cuMemFree_v2(memory[i]));
		WORKS(cuStreamDestroy_v2(streams[i]));
		WORKS(cuModuleUnload(modules[i]));
	}
}

/* What one device's context has done wrong is not the other's. */
static void test_fault(void **state)
{
	CUdeviceptr nobodys = 16, memory;
	CUfunction function;
	CUmodule module;

	(void)state;
	WORKS(cuCtxSetCurrent(contexts[1]));
	WORKS(cuModuleLoadData(&module, increment_image));
	WORKS(cuModuleGetFunction(&function, module, "increment"));
	WORKS(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&nobodys}, NULL));
	assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	WORKS(cuCtxSetCurrent(contexts[0]));
	if (!device_is_software()) {
		/* NVIDIA's driver (580.159.04) has such an error end all contexts of the process. */
		assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
		return;
	}
	WORKS(cuCtxSynchronize());
	WORKS(cuMemAlloc_v2(&memory, BYTES));
	WORKS(cuMemsetD32_v2(memory, 1, WORDS));
	WORKS(cuCtxSynchronize());
	WORKS(cuMemFree_v2(memory));
}

#define NVML(library, name, ...) ((int (*)())dlsym(library, #name))(__VA_ARGS__)

static void nvml_print(void *library, const char *name)
{
	unsigned count = 0;
	char uuid[96] = "";
	void *device;

	if (NVML(library, nvmlDeviceGetCount_v2, &count))
		exit(1);
	printf("\"%s\": [", name);
	for (unsigned i = 0; i < count; i++) {
		if (NVML(library, nvmlDeviceGetHandleByIndex_v2, i, &device) ||
		    NVML(library, nvmlDeviceGetUUID, device, uuid, (unsigned)sizeof(uuid)))
			exit(1);
		printf("%s\"%s\"", i ? ", " : "", uuid);
	}
	printf("]");
}

static void cuda_print(void)
{
	int count = 0;

	if (cuDeviceGetCount(&count))
		exit(1);
	printf("\"cuda\": [");
	for (int i = 0; i < count; i++) {
		CUuuid uuid;

		if (cuDeviceGetUuid_v2(&uuid, i))
			exit(1);
		printf("%s\"GPU-", i ? ", " : "");
		for (int j = 0; j < 16; j++)
			printf("%s%02x", j == 4 || j == 6 || j == 8 || j == 10 ? "-" : "",
			       (unsigned char)uuid.bytes[j]);
		printf("\"");
	}
	printf("]");
}

/* Prints what NVML and CUDA show, in this order: "nc", "c" or "n"; then NVML once more. */
static int look(const char *order)
{
	void *library = dlopen(getenv("VGPU_TEST_NVML"), RTLD_NOW);
	CUcontext context;
	CUresult result = CUDA_ERROR_NO_DEVICE;
	char line[16];

	if (!library)
		return 1;
	printf("{");
	if (order[0] == 'n') {
		if (NVML(library, nvmlInit_v2))
			return 1;
		nvml_print(library, "nvml");
		printf(", ");
	}
	if (strchr(order, 'c'))
		result = cuInit(0);
	if (result && result != CUDA_ERROR_NO_DEVICE)
		return 1;
	if (result)
		printf("\"cuda\": []");
	else
		cuda_print();
	if (!result && cuDevicePrimaryCtxRetain(&context, 0))
		return 1;
	if (order[0] != 'n' && NVML(library, nvmlInit_v2))
		return 1;
	printf(", ");
	nvml_print(library, "later");
	printf("}\n");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) ? 0 : 1;
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_fault),
	};

	if (count > 1 && strcmp(arguments[1], "look") == 0)
		return look(count > 2 ? arguments[2] : "nc");
	return cmocka_run_group_tests(tests, setup, NULL);
}
