/* SPDX-License-Identifier: Apache-2.0 */
/*
 * use hold BYTES: takes memory of device 0, prints "held", and keeps it until a line comes.
 * use list: prints process id and bytes of each process that NVML shows on device 0.
 * use busy: prints process id and utilisation of each process since time 1000.
 * use free: prints the free bytes of device 0 with a context, with a module too, and when that was unloaded.
 * use later: prints after each of these the result and the free bytes: a context and a module, its kernel found,
 * launched, launched again, a larger stack, the stack's size asked for, another kernel found. use wait: starts NVML,
 * prints "started", and asks for device 0's name when a line comes. VGPU_TEST_NVML is the guest library's path.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_abi.h"
#include "nvml_abi.h"

#define PROCESSES_MAX 64

#define NVML(library, name, ...) ((int (*)())dlsym(library, #name))(__VA_ARGS__)
#define CUDA(library, name, ...) ((CUresult(*)())dlsym(library, #name))(__VA_ARGS__)

static int hold(size_t bytes)
{
	void *cuda = dlopen("libcuda.so.1", RTLD_NOW);
	CUdeviceptr address;
	CUcontext context;
	char line[16];

	if (!cuda || CUDA(cuda, cuInit, 0) || CUDA(cuda, cuDevicePrimaryCtxRetain, &context, 0) ||
	    CUDA(cuda, cuCtxSetCurrent, context) || CUDA(cuda, cuMemAlloc_v2, &address, bytes))
		return 1;
	puts("held");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) ? 0 : 1;
}

static int free_print(void *cuda)
{
	size_t free_bytes, total;

	if (CUDA(cuda, cuMemGetInfo_v2, &free_bytes, &total))
		return 1;
	printf("%zu\n", free_bytes);
	return 0;
}

static int look_at_free(void)
{
	static const char image[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
				    ".visible .entry nothing()\n{\n\tret;\n}\n";
	void *cuda = dlopen("libcuda.so.1", RTLD_NOW);
	CUcontext context;
	CUmodule module;

	if (!cuda || CUDA(cuda, cuInit, 0) || CUDA(cuda, cuDevicePrimaryCtxRetain, &context, 0) ||
	    CUDA(cuda, cuCtxSetCurrent, context) || free_print(cuda) || CUDA(cuda, cuModuleLoadData, &module, image) ||
	    free_print(cuda) || CUDA(cuda, cuModuleUnload, module) || free_print(cuda))
		return 1;
	return 0;
}

static void step_print(void *cuda, const char *name, CUresult result)
{
	size_t free_bytes = 0, total;

	CUDA(cuda, cuMemGetInfo_v2, &free_bytes, &total);
	printf("%s %d %zu\n", name, (int)result, free_bytes);
}

static int look_at_later_uses(void)
{
	static const char image[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
				    ".visible .entry print()\n{\n\tret;\n}\n.visible .entry add()\n{\n\tret;\n}\n";
	void *cuda = dlopen("libcuda.so.1", RTLD_NOW);
	void *parameters[] = {&(uint64_t){0}, &(uint64_t){0}, &(uint64_t){0}};
	CUfunction function, other;
	CUcontext context;
	CUmodule module;
	size_t size = 0;
	CUresult result;

	if (!cuda || CUDA(cuda, cuInit, 0) || CUDA(cuda, cuDevicePrimaryCtxRetain, &context, 0) ||
	    CUDA(cuda, cuCtxSetCurrent, context) || CUDA(cuda, cuModuleLoadData, &module, image))
		return 1;
	step_print(cuda, "module", CUDA_SUCCESS);
	result = CUDA(cuda, cuModuleGetFunction, &function, module, "print");
	step_print(cuda, "found", result);
	for (int i = 0; i < 2 && !result; i++) {
		result = CUDA(cuda, cuLaunchKernel, function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL);
		if (!result)
			result = CUDA(cuda, cuCtxSynchronize);
		step_print(cuda, "launched", result);
	}
	result = CUDA(cuda, cuCtxSetLimit, CU_LIMIT_STACK_SIZE, (size_t)65536);
	step_print(cuda, "larger", result);
	result = CUDA(cuda, cuCtxGetLimit, &size, CU_LIMIT_STACK_SIZE);
	printf("stack %d %zu\n", (int)result, size);
	result = CUDA(cuda, cuModuleGetFunction, &other, module, "add");
	step_print(cuda, "found", result);
	return 0;
}

static int list(void)
{
	struct nvml_process_v2 processes[PROCESSES_MAX];
	unsigned int count = PROCESSES_MAX;
	void *nvml = dlopen(getenv("VGPU_TEST_NVML"), RTLD_NOW);
	void *device;

	if (!nvml || NVML(nvml, nvmlInit_v2) || NVML(nvml, nvmlDeviceGetHandleByIndex_v2, 0, &device) ||
	    NVML(nvml, nvmlDeviceGetComputeRunningProcesses_v3, device, &count, processes))
		return 1;
	for (unsigned int i = 0; i < count; i++)
		printf("%u %llu\n", processes[i].pid, (unsigned long long)processes[i].used_bytes);
	return 0;
}

static int busy(void)
{
	struct nvml_utilization samples[PROCESSES_MAX];
	unsigned int count = PROCESSES_MAX;
	void *nvml = dlopen(getenv("VGPU_TEST_NVML"), RTLD_NOW);
	void *device;
	int result;

	if (!nvml || NVML(nvml, nvmlInit_v2) || NVML(nvml, nvmlDeviceGetHandleByIndex_v2, 0, &device))
		return 1;
	result = NVML(nvml, nvmlDeviceGetProcessUtilization, device, samples, &count, 1000ull);
	for (unsigned int i = 0; !result && i < count; i++)
		printf("%u compute %u memory %u encoder %u decoder %u at %llu\n", samples[i].pid, samples[i].compute,
		       samples[i].memory, samples[i].encoder, samples[i].decoder,
		       (unsigned long long)samples[i].time_us);
	printf("result %d\n", result);
	return 0;
}

static int wait(void)
{
	void *nvml = dlopen(getenv("VGPU_TEST_NVML"), RTLD_NOW);
	char line[16];
	char name[96];
	void *device;

	if (!nvml || NVML(nvml, nvmlInit_v2) || NVML(nvml, nvmlDeviceGetHandleByIndex_v2, 0, &device))
		return 1;
	puts("started");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin) || NVML(nvml, nvmlDeviceGetName, device, name, sizeof(name)))
		return 1;
	puts(name);
	return NVML(nvml, nvmlShutdown);
}

int main(int count, char **arguments)
{
	if (count == 3 && strcmp(arguments[1], "hold") == 0)
		return hold(strtoull(arguments[2], NULL, 0));
	if (count == 2 && strcmp(arguments[1], "free") == 0)
		return look_at_free();
	if (count == 2 && strcmp(arguments[1], "later") == 0)
		return look_at_later_uses();
	if (count == 2 && strcmp(arguments[1], "list") == 0)
		return list();
	if (count == 2 && strcmp(arguments[1], "busy") == 0)
		return busy();
	if (count == 2 && strcmp(arguments[1], "wait") == 0)
		return wait();
	return 64;
}
