/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "driver.h"
#include "mig.h"

static int fail(const struct driver *driver, const char *call, CUresult result)
{
	fprintf(stderr, "%s: %s (%d)\n", call, driver_error_name(driver, result), result);
	return 1;
}

/* With 'prefix' before it, as tools write it. */
static void uuid_write(const CUuuid *uuid, const char *prefix, char text[48])
{
	size_t length = (size_t)snprintf(text, 48, "%.4s", prefix);

	for (int i = 0; i < 16; i++)
		length += (size_t)snprintf(text + length, 48 - length, "%s%02x",
					   i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
					   (unsigned char)uuid->bytes[i]);
}

/* NVML may list the instances of GPUs that this driver has nothing to do with: it is asked for the one that it shows.
 */
static bool units_are_drivers(const struct driver *driver, const struct mig_unit *units, unsigned count)
{
	char text[48];
	CUuuid uuid;
	CUdevice device;

	if (!driver_is_software(driver))
		return true;
	if (driver->cuDeviceGet(&device, 0) || driver->cuDeviceGetUuid_v2(&uuid, device))
		return false;
	uuid_write(&uuid, "MIG-", text);
	return mig_units_have(units, count, text);
}

/* Where GPUs are in MIG mode, for CUDA shows a process one instance only. How many lines were printed. */
static unsigned units_print(const struct driver *driver)
{
	struct mig_unit units[MIG_UNITS_MAX];
	bool reaches_host;
	CUdevice device;
	unsigned count;

	/* The operator has chosen among them for all programs. */
	if (getenv("CUDA_VISIBLE_DEVICES"))
		return 0;
	count = mig_units_list(units);
	if (!count || !units_are_drivers(driver, units, count))
		return 0;
	/* As the one that CUDA shows; if it shows none they are refused until it does. */
	reaches_host = driver->cuDeviceGet(&device, 0) != CUDA_SUCCESS || driver_reaches_host(driver, device);
	for (unsigned i = 0; i < count; i++) {
		printf("device=%u name=\"%s\" uuid=%s memory=%llu pci=%s reaches_host=%d", i, units[i].name,
		       units[i].uuid, units[i].memory_bytes, units[i].pci, reaches_host);
		if (units[i].parent[0])
			printf(" parent=%s instance=%s", units[i].parent, units[i].instance);
		printf("\n");
	}
	return count;
}

static int device_print(const struct driver *driver, int ordinal)
{
	char uuid_text[48];
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
	uuid_write(&uuid, "GPU-", uuid_text);
	/* Quotes keep the line parseable: names have spaces. */
	printf("device=%d name=\"%s\" uuid=%s memory=%zu pci=%s reaches_host=%d\n", ordinal, name, uuid_text, bytes,
	       pci, driver_reaches_host(driver, device));
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
	if (units_print(&driver))
		return fflush(stdout) ? 1 : 0;
	for (int i = 0; i < count; i++) {
		if (device_print(&driver, i))
			return 1;
	}
	return fflush(stdout) ? 1 : 0;
}
