/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry_driver.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "driver.h"
#include "nvml_abi.h"
#include "nvml_functions.h"

/* The version of NVML whose functions are described in api/nvml. */
#define NVML_VERSION "13." VGPU_VERSION

static const struct driver *driver;

int telemetry_driver_open(const struct driver *asked)
{
	driver = asked;
	return driver->cuInit(0) == CUDA_SUCCESS ? NVML_SUCCESS : NVML_ERROR_DRIVER_NOT_LOADED;
}

/* Handles are ordinals from 1. */
static CUdevice device_of(const void *handle)
{
	return (CUdevice)((uintptr_t)handle - 1);
}

static int result_of(CUresult result)
{
	return result == CUDA_SUCCESS ? NVML_SUCCESS : NVML_ERROR_UNKNOWN;
}

static int text_give(const char *text, char *place, unsigned int bytes)
{
	if (strlen(text) >= bytes)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	memcpy(place, text, strlen(text) + 1);
	return NVML_SUCCESS;
}

static int count_get(unsigned int *count)
{
	int devices = 0;
	CUresult result = driver->cuDeviceGetCount(&devices);

	*count = devices > 0 ? (unsigned int)devices : 0;
	return result_of(result);
}

static int handle_get(unsigned int index, void **handle)
{
	*handle = (void *)((uintptr_t)index + 1);
	return NVML_SUCCESS;
}

static int name_get(void *handle, char *name, unsigned int bytes)
{
	char text[256] = "";
	CUresult result = driver->cuDeviceGetName(text, sizeof(text) - 1, device_of(handle));

	return result ? result_of(result) : text_give(text, name, bytes);
}

static int uuid_get(void *handle, char *uuid, unsigned int bytes)
{
	static const char groups[] = {4, 2, 2, 2, 6};
	char text[64] = "GPU";
	size_t length = strlen(text);
	size_t at = 0;
	CUuuid value;
	CUresult result = driver->cuDeviceGetUuid(&value, device_of(handle));

	if (result)
		return result_of(result);
	for (size_t group = 0; group < sizeof(groups); group++) {
		text[length++] = '-';
		for (char i = 0; i < groups[group]; i++, length += 2)
			snprintf(text + length, sizeof(text) - length, "%02x", (unsigned char)value.bytes[at++]);
	}
	return text_give(text, uuid, bytes);
}

static int pci_get(void *handle, struct nvml_pci_info *info)
{
	uint32_t place = driver_pci_place(driver, device_of(handle));

	*info = (struct nvml_pci_info){
		.domain = place >> 16,
		.bus = place >> 8 & 0xff,
		.device = place & 0xff,
	};
	snprintf(info->bus_id, sizeof(info->bus_id), "%08X:%02X:%02X.0", info->domain, info->bus, info->device);
	snprintf(info->bus_id_legacy, sizeof(info->bus_id_legacy), "%04X:%02X:%02X.0", info->domain & 0xffff,
		 info->bus & 0xff, info->device & 0xff);
	return NVML_SUCCESS;
}

/* The driver knows only what the executor's own process has of it, which is nothing. */
static int memory_get(void *handle, struct nvml_memory *memory)
{
	size_t total = 0;
	CUresult result = driver->cuDeviceTotalMem_v2(&total, device_of(handle));

	*memory = (struct nvml_memory){.total = total, .free = total};
	return result_of(result);
}

static int attribute_get(void *handle, CUdevice_attribute attribute, int *value)
{
	return result_of(driver->cuDeviceGetAttribute(value, attribute, device_of(handle)));
}

static int capability_get(void *handle, int *major, int *minor)
{
	int result = attribute_get(handle, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, major);

	return result ? result : attribute_get(handle, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, minor);
}

/* Both libraries number the modes alike. */
static int compute_mode_get(void *handle, unsigned int *mode)
{
	int value = 0;
	int result = attribute_get(handle, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, &value);

	*mode = (unsigned int)value;
	return result;
}

/* The software GPU is its own driver. */
static int driver_version_get(char *version, unsigned int bytes)
{
	return text_give(VGPU_VERSION, version, bytes);
}

static int nvml_version_get(char *version, unsigned int bytes)
{
	return text_give(NVML_VERSION, version, bytes);
}

static int cuda_version_get(int *version)
{
	return result_of(driver->cuDriverGetVersion(version));
}

void *telemetry_driver_function(const char *name)
{
	static const struct {
		const char *name;
		void *function;
	} functions[] = {
		{"nvmlDeviceGetCount_v2", (void *)count_get},
		{"nvmlDeviceGetHandleByIndex_v2", (void *)handle_get},
		{"nvmlDeviceGetName", (void *)name_get},
		{"nvmlDeviceGetUUID", (void *)uuid_get},
		{"nvmlDeviceGetPciInfo_v3", (void *)pci_get},
		{"nvmlDeviceGetMemoryInfo", (void *)memory_get},
		{"nvmlDeviceGetCudaComputeCapability", (void *)capability_get},
		{"nvmlDeviceGetComputeMode", (void *)compute_mode_get},
		{"nvmlSystemGetDriverVersion", (void *)driver_version_get},
		{"nvmlSystemGetNVMLVersion", (void *)nvml_version_get},
		{"nvmlSystemGetCudaDriverVersion_v2", (void *)cuda_version_get},
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (strcmp(functions[i].name, name) == 0)
			return functions[i].function;
	}
	return NULL;
}
