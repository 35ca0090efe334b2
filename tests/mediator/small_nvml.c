/* SPDX-License-Identifier: Apache-2.0 */
/* As much of NVML as sensors need, for machines without it: two GPUs, of which the second has no power and no ECC. */
#include <stdint.h>
#include <stdio.h>

#define API		 __attribute__((visibility("default")))
#define ERROR_NO_SUPPORT 3
#define GPUS		 2

struct utilization {
	unsigned int gpu, memory;
};

struct memory {
	unsigned long long total, free, used;
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
