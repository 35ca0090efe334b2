/* SPDX-License-Identifier: Apache-2.0 */
#include "sensors.h"

#include <inttypes.h>
#include <stdio.h>

#include "nvml.h"
#include "nvml_abi.h"
#include "nvml_functions.h"

/* nvml.h: values of its enumerations, and its structure. */
#define NVML_TEMPERATURE_GPU 0
#define NVML_ECC_CORRECTED   0
#define NVML_ECC_UNCORRECTED 1
#define NVML_ECC_VOLATILE    0

struct nvml_rates {
	unsigned int gpu;
	unsigned int memory;
};

typedef int nvml_utilization(void *handle, struct nvml_rates *rates);
typedef int nvml_memory(void *handle, struct nvml_memory *memory);
typedef int nvml_temperature(void *handle, unsigned int sensor, unsigned int *temperature);
typedef int nvml_number(void *handle, unsigned int *number);
typedef int nvml_ecc(void *handle, unsigned int error, unsigned int counter, unsigned long long *count);

/* An older driver lacks some of them, and a GPU some of the values: what there is not is left out. */
static void device_print(const struct nvml *nvml, void *handle)
{
	nvml_utilization *utilization_get = (nvml_utilization *)nvml_function(nvml, "nvmlDeviceGetUtilizationRates");
	nvml_memory *memory_get = (nvml_memory *)nvml_function(nvml, "nvmlDeviceGetMemoryInfo");
	nvml_temperature *temperature_get = (nvml_temperature *)nvml_function(nvml, "nvmlDeviceGetTemperature");
	nvml_number *power_get = (nvml_number *)nvml_function(nvml, "nvmlDeviceGetPowerUsage");
	nvml_ecc *ecc_get = (nvml_ecc *)nvml_function(nvml, "nvmlDeviceGetTotalEccErrors");
	char uuid[NVML_DEVICE_UUID_BYTES] = "";
	struct nvml_rates rates;
	struct nvml_memory memory;
	unsigned long long count;
	unsigned int number;

	if (nvml->uuid(handle, uuid, sizeof(uuid) - 1) != NVML_SUCCESS)
		return;
	printf("uuid=%s", uuid);
	if (utilization_get && utilization_get(handle, &rates) == NVML_SUCCESS)
		printf(" utilization=%u memory_utilization=%u", rates.gpu, rates.memory);
	if (memory_get && memory_get(handle, &memory) == NVML_SUCCESS)
		printf(" memory_used=%" PRIu64, memory.used);
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
	struct nvml nvml;
	unsigned int count = 0;
	int result = nvml_open(&nvml);

	if (result == NVML_ERROR_LIBRARY_NOT_FOUND)
		return 0;
	if (!result)
		result = nvml.count(&count);
	if (result) {
		fprintf(stderr, "NVML cannot be used: %s\n", nvml_result_text(result));
		return 1;
	}
	for (unsigned int i = 0; i < count; i++) {
		void *handle = NULL;

		if (nvml.handle(i, &handle) == NVML_SUCCESS)
			device_print(&nvml, handle);
	}
	return fflush(stdout) ? 1 : 0;
}
