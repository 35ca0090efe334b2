/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <dlfcn.h>
#include <stdio.h>

static char message[512];

#define DRIVER_FIND(member, name, parameters)                                             \
	*(void **)&driver->member = dlsym(driver->library, #name);                        \
	if (driver->member == NULL) {                                                     \
		snprintf(message, sizeof(message), "the library does not export " #name); \
		return message;                                                           \
	}

static const char *driver_find(struct driver *driver)
{
	DRIVER_FUNCTIONS(DRIVER_FIND)
	return NULL;
}

const char *driver_find_arrays(struct driver *driver)
{
	DRIVER_ARRAY_FUNCTIONS(DRIVER_FIND)
	return NULL;
}

const char *driver_open(const char *path, struct driver *ret_driver)
{
	struct driver driver = {0};
	const char *problem;

	driver.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (driver.library == NULL) {
		snprintf(message, sizeof(message), "%s", dlerror());
		return message;
	}
	problem = driver_find(&driver);
	if (problem) {
		dlclose(driver.library);
		return problem;
	}
	*ret_driver = driver;
	return NULL;
}

const char *driver_error_name(const struct driver *driver, CUresult error)
{
	static _Thread_local char number[32];
	const char *name = NULL;
	if (driver->get_error_name(error, &name) == CUDA_SUCCESS && name != NULL)
		return name;
	snprintf(number, sizeof(number), "error %d", (int)error);
	return number;
}
