/* SPDX-License-Identifier: Apache-2.0 */
#include "driver_calls.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* member, exported name, parameters */
#define CALLS(F)                                                                                                       \
	F(init, cuInit, (unsigned flags))                                                                              \
	F(error_name, cuGetErrorName, (CUresult error, const char **name))                                             \
	F(device_get, cuDeviceGet, (CUdevice * device, int ordinal))                                                   \
	F(device_name, cuDeviceGetName, (char *name, int bytes, CUdevice device))                                      \
	F(primary_retain, cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))                            \
	F(primary_release, cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                            \
	F(set_current, cuCtxSetCurrent, (CUcontext context))                                                           \
	F(module_load, cuModuleLoadData, (CUmodule * module, const void *image))                                       \
	F(module_function, cuModuleGetFunction, (CUfunction * function, CUmodule module, const char *name))            \
	F(allocate, cuMemAlloc_v2, (CUdeviceptr * address, size_t bytes))                                              \
	F(release, cuMemFree_v2, (CUdeviceptr address))                                                                \
	F(to_device, cuMemcpyHtoD_v2, (CUdeviceptr to, const void *from, size_t bytes))                                \
	F(to_host, cuMemcpyDtoH_v2, (void *to, CUdeviceptr from, size_t bytes))                                        \
	F(event_create, cuEventCreate, (CUevent * event, unsigned flags))                                              \
	F(event_record, cuEventRecord, (CUevent event, CUstream stream))                                               \
	F(event_wait, cuEventSynchronize, (CUevent event))                                                             \
	F(event_elapsed, cuEventElapsedTime, (float *milliseconds, CUevent start, CUevent end))                        \
	F(event_destroy, cuEventDestroy_v2, (CUevent event))                                                           \
	F(launch, cuLaunchKernel,                                                                                      \
	  (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, \
	   unsigned block_z, unsigned shared_bytes, CUstream stream, void **parameters, void **extra))

#define DECLARE(member, name, parameters) CUresult(*member) parameters;
static struct {
	void *library;
	CUdevice device;
	CALLS(DECLARE)
} driver;
#undef DECLARE

static void check(CUresult result, const char *call)
{
	const char *name = NULL;
	if (result == CUDA_SUCCESS)
		return;
	if (driver.error_name(result, &name) != CUDA_SUCCESS)
		name = "unknown error";
	fprintf(stderr, "%s: %s (%d)\n", call, name, (int)result);
	exit(1);
}

const char *driver_start(void)
{
	static char name[256];
	CUcontext context;
	driver.library = dlopen("libcuda.so.1", RTLD_NOW);
	if (driver.library == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
#define FIND(member, exported, parameters)                              \
	*(void **)&driver.member = dlsym(driver.library, #exported);    \
	if (driver.member == NULL) {                                    \
		fprintf(stderr, "libcuda.so.1 has no " #exported "\n"); \
		exit(1);                                                \
	}
	CALLS(FIND)
#undef FIND
	check(driver.init(0), "cuInit");
	check(driver.device_get(&driver.device, 0), "cuDeviceGet");
	check(driver.device_name(name, sizeof(name), driver.device), "cuDeviceGetName");
	check(driver.primary_retain(&context, driver.device), "cuDevicePrimaryCtxRetain");
	check(driver.set_current(context), "cuCtxSetCurrent");
	return name;
}

void driver_stop(void)
{
	check(driver.primary_release(driver.device), "cuDevicePrimaryCtxRelease");
}

CUfunction driver_load(const char *ptx, const char *kernel)
{
	CUmodule module;
	CUfunction function;
	check(driver.module_load(&module, ptx), "cuModuleLoadData");
	check(driver.module_function(&function, module, kernel), "cuModuleGetFunction");
	return function;
}

CUdeviceptr driver_allocate(size_t bytes)
{
	CUdeviceptr address;
	check(driver.allocate(&address, bytes), "cuMemAlloc");
	return address;
}

void driver_free(CUdeviceptr address)
{
	check(driver.release(address), "cuMemFree");
}

void driver_copy_to_device(CUdeviceptr to, const void *from, size_t bytes)
{
	check(driver.to_device(to, from, bytes), "cuMemcpyHtoD");
}

void driver_copy_to_host(void *to, CUdeviceptr from, size_t bytes)
{
	check(driver.to_host(to, from, bytes), "cuMemcpyDtoH");
}

float driver_run(CUfunction function, const unsigned grid[2], const unsigned block[2], void **parameters)
{
	CUevent start, end;
	float milliseconds;
	check(driver.event_create(&start, 0), "cuEventCreate");
	check(driver.event_create(&end, 0), "cuEventCreate");
	check(driver.event_record(start, NULL), "cuEventRecord");
	check(driver.launch(function, grid[0], grid[1], 1, block[0], block[1], 1, 0, NULL, parameters, NULL),
	      "cuLaunchKernel");
	check(driver.event_record(end, NULL), "cuEventRecord");
	check(driver.event_wait(end), "cuEventSynchronize");
	check(driver.event_elapsed(&milliseconds, start, end), "cuEventElapsedTime");
	check(driver.event_destroy(start), "cuEventDestroy");
	check(driver.event_destroy(end), "cuEventDestroy");
	return milliseconds;
}

double clock_milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}
