/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "vgpu_control.h"

/* What softgpu calls its device. */
#define SOFTWARE_NAME "softgpu"

/* Without these no program gets anywhere. */
static const char *missing_find(const struct driver *driver)
{
	const struct {
		const char *name;
		bool is_there;
	} needed[] = {
		{"cuInit", driver->cuInit},
		{"cuDriverGetVersion", driver->cuDriverGetVersion},
		{"cuDeviceGet", driver->cuDeviceGet},
		{"cuDeviceGetCount", driver->cuDeviceGetCount},
		{"cuDeviceGetName", driver->cuDeviceGetName},
		{"cuDeviceGetUuid", driver->cuDeviceGetUuid},
		{"cuDeviceTotalMem_v2", driver->cuDeviceTotalMem_v2},
		{"cuDeviceGetAttribute", driver->cuDeviceGetAttribute},
		{"cuDeviceGetPCIBusId", driver->cuDeviceGetPCIBusId},
		{"cuDevicePrimaryCtxRetain", driver->cuDevicePrimaryCtxRetain},
		{"cuDevicePrimaryCtxRelease_v2", driver->cuDevicePrimaryCtxRelease_v2},
		{"cuDevicePrimaryCtxReset_v2", driver->cuDevicePrimaryCtxReset_v2},
		{"cuDevicePrimaryCtxSetFlags_v2", driver->cuDevicePrimaryCtxSetFlags_v2},
		{"cuCtxCreate_v2", driver->cuCtxCreate_v2},
		{"cuCtxDestroy_v2", driver->cuCtxDestroy_v2},
		{"cuCtxSetCurrent", driver->cuCtxSetCurrent},
		{"cuCtxSynchronize", driver->cuCtxSynchronize},
		{"cuMemAlloc_v2", driver->cuMemAlloc_v2},
		{"cuMemAllocPitch_v2", driver->cuMemAllocPitch_v2},
		{"cuMemFree_v2", driver->cuMemFree_v2},
		{"cuMemHostRegister_v2", driver->cuMemHostRegister_v2},
		{"cuMemHostUnregister", driver->cuMemHostUnregister},
		{"cuMemcpyHtoDAsync_v2", driver->cuMemcpyHtoDAsync_v2},
		{"cuMemcpyDtoHAsync_v2", driver->cuMemcpyDtoHAsync_v2},
		{"cuModuleLoadDataEx", driver->cuModuleLoadDataEx},
		{"cuModuleUnload", driver->cuModuleUnload},
		{"cuModuleGetFunction", driver->cuModuleGetFunction},
		{"cuLaunchKernel", driver->cuLaunchKernel},
		{"cuStreamCreate", driver->cuStreamCreate},
		{"cuStreamDestroy_v2", driver->cuStreamDestroy_v2},
		{"cuStreamQuery", driver->cuStreamQuery},
		{"cuStreamSynchronize", driver->cuStreamSynchronize},
		{"cuStreamWaitEvent", driver->cuStreamWaitEvent},
		{"cuEventCreate", driver->cuEventCreate},
		{"cuEventRecord", driver->cuEventRecord},
		{"cuEventQuery", driver->cuEventQuery},
		{"cuEventSynchronize", driver->cuEventSynchronize},
		{"cuEventDestroy_v2", driver->cuEventDestroy_v2},
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (!needed[i].is_there)
			return needed[i].name;
	}
	return NULL;
}

bool driver_open(const char *library, struct driver *ret_driver, char *text, size_t text_bytes)
{
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	struct driver driver = {0};
	const char *missing;

	if (!handle) {
		snprintf(text, text_bytes, "cannot load the CUDA driver: %s", dlerror());
		return false;
	}
	driver_load(&driver, handle);
	missing = missing_find(&driver);
	if (missing) {
		snprintf(text, text_bytes, "%s is no CUDA driver that we can use: it has no %s", library, missing);
		return false;
	}
	*ret_driver = driver;
	return true;
}

const char *driver_error_name(const struct driver *driver, CUresult result)
{
	const char *name = NULL;

	if (driver->cuGetErrorName && driver->cuGetErrorName(result, &name) == CUDA_SUCCESS && name)
		return name;
	return "unknown error";
}

bool driver_is_software(const struct driver *driver)
{
	char name[256] = "";
	CUdevice device;

	return driver->cuDeviceGet(&device, 0) == CUDA_SUCCESS &&
	       driver->cuDeviceGetName(name, sizeof(name) - 1, device) == CUDA_SUCCESS && strstr(name, SOFTWARE_NAME);
}

bool driver_is_softgpu(const struct driver *driver)
{
	Dl_info info;
	const char *file;

	if (!dladdr((const void *)driver->cuInit, &info) || !info.dli_fname)
		return false;
	file = strrchr(info.dli_fname, '/');
	return strstr(file ? file : info.dli_fname, SOFTWARE_NAME) != NULL;
}

bool driver_reaches_host(const struct driver *driver, CUdevice device)
{
	int reaches = 0;

	return driver->cuDeviceGetAttribute(&reaches, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, device) ==
		       CUDA_SUCCESS &&
	       reaches;
}

uint32_t driver_pci_place(const struct driver *driver, CUdevice device)
{
	int domain = 0;
	int bus = 0;
	int number = 0;

	driver->cuDeviceGetAttribute(&domain, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, device);
	driver->cuDeviceGetAttribute(&bus, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, device);
	driver->cuDeviceGetAttribute(&number, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, device);
	return VGPU_PCI_PLACE((uint32_t)domain, (uint32_t)bus, (uint32_t)number);
}
