/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <dlfcn.h>
#include <stdio.h>

const char *driver_open(const char *path, struct driver *ret_driver)
{
	static char message[512];
	struct driver driver = {0};
	driver.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (driver.library == NULL) {
		snprintf(message, sizeof(message), "%s", dlerror());
		return message;
	}
#define DRIVER_FIND(member, name, parameters)                                             \
	*(void **)&driver.member = dlsym(driver.library, #name);                          \
	if (driver.member == NULL) {                                                      \
		snprintf(message, sizeof(message), "%s does not export %s", path, #name); \
		dlclose(driver.library);                                                  \
		return message;                                                           \
	}
	DRIVER_FUNCTIONS(DRIVER_FIND)
#undef DRIVER_FIND
	*ret_driver = driver;
	return NULL;
}

void driver_close(struct driver *driver)
{
	dlclose(driver->library);
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
