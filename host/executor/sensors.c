/* SPDX-License-Identifier: Apache-2.0 */
#include "sensors.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* nvml.h: values of its enumerations, and its structures. */
#define LIBRARY		       "libnvidia-ml.so.1"
#define NVML_SUCCESS	       0
#define NVML_TEMPERATURE_GPU   0
#define NVML_ECC_CORRECTED     0
#define NVML_ECC_UNCORRECTED   1
#define NVML_ECC_VOLATILE      0
#define NVML_DEVICE_UUID_BYTES 96

struct nvml_utilization {
	unsigned int gpu;
	unsigned int memory;
};

struct nvml_memory {
	unsigned long long total;
	unsigned long long free;
	unsigned long long used;
};

typedef int nvml_no_arguments(void);
typedef int nvml_count(unsigned int *count);
typedef int nvml_handle(unsigned int index, void **handle);
typedef int nvml_uuid(void *handle, char *uuid, unsigned int bytes);
typedef int nvml_utilization(void *handle, struct nvml_utilization *utilization);
typedef int nvml_memory(void *handle, struct nvml_memory *memory);
typedef int nvml_temperature(void *handle, unsigned int sensor, unsigned int *temperature);
typedef int nvml_number(void *handle, unsigned int *number);
typedef int nvml_ecc(void *handle, unsigned int error, unsigned int counter, unsigned long long *count);

/* An older driver lacks some of them, and a GPU some of the values: what there is not is left out. */
static void device_print(void *library, void *handle)
{
	nvml_uuid *uuid_get = (nvml_uuid *)dlsym(library, "nvmlDeviceGetUUID");
	nvml_utilization *utilization_get = (nvml_utilization *)dlsym(library, "nvmlDeviceGetUtilizationRates");
	nvml_memory *memory_get = (nvml_memory *)dlsym(library, "nvmlDeviceGetMemoryInfo");
	nvml_temperature *temperature_get = (nvml_temperature *)dlsym(library, "nvmlDeviceGetTemperature");
	nvml_number *power_get = (nvml_number *)dlsym(library, "nvmlDeviceGetPowerUsage");
	nvml_ecc *ecc_get = (nvml_ecc *)dlsym(library, "nvmlDeviceGetTotalEccErrors");
	char uuid[NVML_DEVICE_UUID_BYTES] = "";
	struct nvml_utilization utilization;
	struct nvml_memory memory;
	unsigned long long count;
	unsigned int number;

	if (!uuid_get || uuid_get(handle, uuid, sizeof(uuid) - 1) != NVML_SUCCESS)
		return;
	printf("uuid=%s", uuid);
	if (utilization_get && utilization_get(handle, &utilization) == NVML_SUCCESS)
		printf(" utilization=%u memory_utilization=%u", utilization.gpu, utilization.memory);
	if (memory_get && memory_get(handle, &memory) == NVML_SUCCESS)
		printf(" memory_used=%llu", memory.used);
	if (temperature_get && temperature_get(handle, NVML_TEMPERATURE_GPU, &number) == NVML_SUCCESS)
		printf(" temperature=%u", number);
	if (power_get && power_get(handle, &number) == NVML_SUCCESS)
		printf(" power=%u", number);
	if (ecc_get && ecc_get(handle, NVML_ECC_CORRECTED, NVML_ECC_VOLATILE, &count) == NVML_SUCCESS)
		printf(" ecc_corrected=%llu", count);
	if (ecc_get && ecc_get(handle, NVML_ECC_UNCORRECTED, NVML_ECC_VOLATILE, &count) == NVML_SUCCESS)
		printf(" ecc_uncorrected=%llu", count);
	printf("\n");
}

int sensors_run(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	nvml_no_arguments *init;
	nvml_count *count_get;
	nvml_handle *handle_get;
	unsigned int count = 0;

	if (!library)
		return 0;
	init = (nvml_no_arguments *)dlsym(library, "nvmlInit_v2");
	count_get = (nvml_count *)dlsym(library, "nvmlDeviceGetCount_v2");
	handle_get = (nvml_handle *)dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
	if (!init || !count_get || !handle_get || init() != NVML_SUCCESS || count_get(&count) != NVML_SUCCESS) {
		fprintf(stderr, "%s cannot be used\n", LIBRARY);
		return 1;
	}
	for (unsigned int i = 0; i < count; i++) {
		void *handle = NULL;

		if (handle_get(i, &handle) == NVML_SUCCESS)
			device_print(library, handle);
	}
	return fflush(stdout) ? 1 : 0;
}
