/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of NVML as sensors need, for machines without it: two GPUs, of which the second has no power and no ECC.
 * Their errors are lines of the file that VGPU_EXECUTOR_NVML_EVENTS names, "GPU TYPE DATA"; without it
 * there are no events.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define API		 __attribute__((visibility("default")))
#define ERROR_NO_SUPPORT 3
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

API int nvmlInit_v2(void);
API int nvmlDeviceGetCount_v2(unsigned int *count);
API int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle);
API int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned int bytes);
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

int nvmlInit_v2(void)
{
	return 0;
}

int nvmlDeviceGetCount_v2(unsigned int *count)
{
	*count = GPUS;
	return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle)
{
	*handle = (void *)(uintptr_t)(index + 1);
	return 0;
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned int bytes)
{
	snprintf(uuid, bytes, "GPU-%u", number_of(handle));
	return 0;
}

int nvmlDeviceGetUtilizationRates(void *handle, struct utilization *utilization)
{
	*utilization = (struct utilization){.gpu = 75, .memory = 20 * number_of(handle)};
	return 0;
}

int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory)
{
	*memory = (struct memory){.total = 1ull << 36, .free = 1ull << 35, .used = 1000000ull * number_of(handle)};
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
