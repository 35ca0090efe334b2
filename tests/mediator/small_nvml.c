/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of NVML as sensors need, for machines without it: two GPUs, of which the second has no power and no ECC.
 * Their errors are lines of the file that VGPU_EXECUTOR_NVML_EVENTS names, "GPU TYPE DATA"; without it
 * there are no events.
 *
 * With VGPU_EXECUTOR_NVML_MIG=N/M there are M of them, of which the first N are in MIG mode; GPU 0 has two instances
 * then, 1 and, behind a number that has none, 5 with the compute instance 2: softgpu's devices with SOFTGPU_MIG.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define API		 __attribute__((visibility("default")))
#define ERROR_INVALID	 2
#define ERROR_NO_SUPPORT 3
#define ERROR_NOT_FOUND	 6
#define ERROR_TIMEOUT	 10
#define GPUS		 2

struct utilization {
	unsigned int gpu, memory;
};

struct memory {
	unsigned long long total, free, used;
};

struct event {
	void *device;
	unsigned long long type, data;
	unsigned int gpu_instance, compute_instance;
};

struct pci {
	char bus_id_legacy[16];
	unsigned int domain, bus, device, device_id, subsystem_id;
	char bus_id[32];
};

API int nvmlInit_v2(void);
API int nvmlDeviceGetCount_v2(unsigned int *count);
API int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle);
API int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned int bytes);
API int nvmlDeviceGetName(void *handle, char *name, unsigned int bytes);
API int nvmlDeviceGetPciInfo_v3(void *handle, struct pci *pci);
API int nvmlDeviceGetMigMode(void *handle, unsigned int *current, unsigned int *pending);
API int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned int *count);
API int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned int index, void **instance);
API int nvmlDeviceGetGpuInstanceId(void *handle, unsigned int *id);
API int nvmlDeviceGetComputeInstanceId(void *handle, unsigned int *id);
API int nvmlDeviceGetUtilizationRates(void *handle, struct utilization *utilization);
API int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory);
API int nvmlDeviceGetTemperature(void *handle, unsigned int sensor, unsigned int *temperature);
API int nvmlDeviceGetPowerUsage(void *handle, unsigned int *power);
API int nvmlDeviceGetTotalEccErrors(void *handle, unsigned int error, unsigned int counter, unsigned long long *count);

API int nvmlDeviceGetSupportedEventTypes(void *handle, unsigned long long *types);
API int nvmlEventSetCreate(void **set);
API int nvmlDeviceRegisterEvents(void *handle, unsigned long long types, void *set);
API int nvmlEventSetWait_v2(void *set, struct event *event, unsigned int timeout_ms);

static unsigned long long registered[GPUS + 1];

static unsigned int number_of(void *handle)
{
	return (unsigned int)(uintptr_t)handle;
}

/* Those in MIG mode; and how many there are at all. */
static unsigned int mig_gpus(unsigned int *ret_gpus)
{
	const char *text = getenv("VGPU_EXECUTOR_NVML_MIG");
	unsigned int in_mode = 0;

	*ret_gpus = GPUS;
	if (text && sscanf(text, "%u/%u", &in_mode, ret_gpus) != 2)
		abort();
	return in_mode;
}

/* Instances have handles of their own. */
#define INSTANCE_FIRST 100u
#define INSTANCES_MAX  7u

static bool is_instance(void *handle)
{
	return number_of(handle) >= INSTANCE_FIRST;
}

int nvmlInit_v2(void)
{
	return 0;
}

int nvmlDeviceGetCount_v2(unsigned int *count)
{
	mig_gpus(count);
	return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle)
{
	*handle = (void *)(uintptr_t)(index + 1);
	return 0;
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned int bytes)
{
	if (is_instance(handle))
		snprintf(uuid, bytes, "MIG-736f6674-6770-8075-8000-00000000000%u",
			 number_of(handle) - INSTANCE_FIRST == 0 ? 1 : 2);
	else
		snprintf(uuid, bytes, "GPU-%u", number_of(handle));
	return 0;
}

int nvmlDeviceGetName(void *handle, char *name, unsigned int bytes)
{
	snprintf(name, bytes, is_instance(handle) ? "small GPU MIG 1g.10gb" : "small GPU");
	return 0;
}

int nvmlDeviceGetPciInfo_v3(void *handle, struct pci *pci)
{
	/* As the library does with an instance. */
	if (is_instance(handle))
		return ERROR_INVALID;
	*pci = (struct pci){.bus = number_of(handle), .device = 0};
	return 0;
}

int nvmlDeviceGetMigMode(void *handle, unsigned int *current, unsigned int *pending)
{
	unsigned int gpus;
	unsigned int in_mode = mig_gpus(&gpus);

	*current = *pending = number_of(handle) <= in_mode;
	return in_mode && !is_instance(handle) ? 0 : ERROR_NO_SUPPORT;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned int *count)
{
	(void)handle;
	*count = INSTANCES_MAX;
	return 0;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned int index, void **instance)
{
	if (number_of(handle) != 1 || (index != 0 && index != 2))
		return ERROR_NOT_FOUND;
	*instance = (void *)(uintptr_t)(INSTANCE_FIRST + index);
	return 0;
}

int nvmlDeviceGetGpuInstanceId(void *handle, unsigned int *id)
{
	*id = number_of(handle) == INSTANCE_FIRST ? 1 : 5;
	return is_instance(handle) ? 0 : ERROR_INVALID;
}

int nvmlDeviceGetComputeInstanceId(void *handle, unsigned int *id)
{
	*id = number_of(handle) == INSTANCE_FIRST ? 0 : 2;
	return is_instance(handle) ? 0 : ERROR_INVALID;
}

int nvmlDeviceGetUtilizationRates(void *handle, struct utilization *utilization)
{
	*utilization = (struct utilization){.gpu = 75, .memory = 20 * number_of(handle)};
	return 0;
}

int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory)
{
	*memory = (struct memory){.total = is_instance(handle) ? 10ull << 30 : 1ull << 36,
				  .free = 1ull << 35,
				  .used = 1000000ull * number_of(handle)};
	return 0;
}

int nvmlDeviceGetTemperature(void *handle, unsigned int sensor, unsigned int *temperature)
{
	*temperature = sensor == 0 ? 40 + number_of(handle) : 0;
	return 0;
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned int *power)
{
	*power = 123456;
	return number_of(handle) == 1 ? 0 : ERROR_NO_SUPPORT;
}

int nvmlDeviceGetTotalEccErrors(void *handle, unsigned int error, unsigned int counter, unsigned long long *count)
{
	*count = error == 0 && counter == 0 ? 5 : 0;
	return number_of(handle) == 1 ? 0 : ERROR_NO_SUPPORT;
}

int nvmlDeviceGetSupportedEventTypes(void *handle, unsigned long long *types)
{
	*types = number_of(handle) == 1 ? 0x1f : 0x1c;
	return getenv("VGPU_EXECUTOR_NVML_EVENTS") ? 0 : ERROR_NO_SUPPORT;
}

int nvmlEventSetCreate(void **set)
{
	const char *path = getenv("VGPU_EXECUTOR_NVML_EVENTS");
	FILE *file = path ? fopen(path, "r") : NULL;

	*set = file;
	return path && !file ? ERROR_NO_SUPPORT : 0;
}

int nvmlDeviceRegisterEvents(void *handle, unsigned long long types, void *set)
{
	unsigned long long supported;

	/* As the library does with any type that the device lacks. */
	if (!set || nvmlDeviceGetSupportedEventTypes(handle, &supported) || (types & ~supported))
		return ERROR_NO_SUPPORT;
	registered[number_of(handle)] |= types;
	return 0;
}

int nvmlEventSetWait_v2(void *set, struct event *event, unsigned int timeout_ms)
{
	unsigned int number;

	*event = (struct event){.gpu_instance = ~0u, .compute_instance = ~0u};
	for (unsigned int waited_ms = 0; waited_ms < timeout_ms; waited_ms += 10) {
		long place = ftell(set);

		if (fscanf(set, "%u %llx %llu\n", &number, &event->type, &event->data) == 3) {
			if (number == 0 || number > GPUS || !(registered[number] & event->type))
				continue;
			event->device = (void *)(uintptr_t)number;
			return 0;
		}
		fseek(set, place, SEEK_SET);
		usleep(10000);
	}
	return ERROR_TIMEOUT;
}
