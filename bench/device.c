/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>

struct driver driver;

static CUdevice device;

void device_check(CUresult result, const char *call)
{
	if (result == CUDA_SUCCESS)
		return;
	fprintf(stderr, "%s: %s (%d)\n", call, driver_error_name(&driver, result), (int)result);
	exit(1);
}

void device_start(const char *path, int ordinal)
{
	const char *problem = driver_open(path, &driver);
	CUcontext context;
	char name[256];
	int version;

	if (problem) {
		fprintf(stderr, "%s\n", problem);
		exit(1);
	}
	CHECK(driver.init(0));
	CHECK(driver.device_get(&device, ordinal));
	CHECK(driver.primary_retain(&context, device));
	CHECK(driver.set_current(context));
	CHECK(driver.device_get_name(name, sizeof(name), device));
	CHECK(driver.driver_get_version(&version));
	printf("{\"library\": \"%s\", \"device\": \"%s\", \"driver_version\": %d}\n", path, name, version);
}

void device_stop(void)
{
	CHECK(driver.primary_release(device));
}
