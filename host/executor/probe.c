/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <stdio.h>

#include "driver.h"

static int fail(const struct driver *driver, const char *call, CUresult result)
{
	fprintf(stderr, "%s: %s (%d)\n", call, driver_error_name(driver, result), result);
	return 1;
}

static int device_print(const struct driver *driver, int ordinal)
{
	char name[256] = "";
	char pci[32] = "";
	CUuuid uuid;
	size_t bytes;
	CUdevice device;
	CUresult result = driver->cuDeviceGet(&device, ordinal);

	if (!result)
		result = driver->cuDeviceGetName(name, sizeof(name) - 1, device);
	if (!result)
		result = driver->cuDeviceGetUuid(&uuid, device);
	if (!result)
		result = driver->cuDeviceTotalMem_v2(&bytes, device);
	if (!result)
		result = driver->cuDeviceGetPCIBusId(pci, sizeof(pci) - 1, device);
	if (result)
		return fail(driver, "device query", result);
	/* Quotes keep the line parseable: names have spaces. */
	printf("device=%d name=\"%s\" uuid=GPU-", ordinal, name);
	for (int i = 0; i < 16; i++)
		printf("%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", (unsigned char)uuid.bytes[i]);
	printf(" memory=%zu pci=%s reaches_host=%d\n", bytes, pci, driver_reaches_host(driver, device));
	return 0;
}

int probe_run(const char *library)
{
	struct driver driver;
	char text[512];
	int version = 0;
	int count = 0;
	CUresult result;

	if (!driver_open(library, &driver, text, sizeof(text))) {
		fprintf(stderr, "%s\n", text);
		return 1;
	}
	result = driver.cuInit(0);
	if (result)
		return fail(&driver, "cuInit", result);
	result = driver.cuDriverGetVersion(&version);
	if (!result)
		result = driver.cuDeviceGetCount(&count);
	if (result)
		return fail(&driver, "cuDeviceGetCount", result);
	printf("driver_version=%d\nsoftware=%d\n", version, driver_is_software(&driver) ? 1 : 0);
	for (int i = 0; i < count; i++) {
		if (device_print(&driver, i))
			return 1;
	}
	return fflush(stdout) ? 1 : 0;
}
