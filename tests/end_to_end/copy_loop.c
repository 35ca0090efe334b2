/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies to the device and back until something fails, and then says what: the program that tests kill or cut off. How
 * many MiB may be given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

enum { COPY_MIB = 32 };

int main(int count, char **arguments)
{
	size_t bytes = (count > 1 ? strtoul(arguments[1], NULL, 10) : COPY_MIB) << 20;
	struct driver driver;
	CUcontext context;
	CUdeviceptr device_memory;
	CUresult result;
	const char *problem = driver_open("libcuda.so.1", &driver);
	unsigned char *source = malloc(bytes), *back = malloc(bytes);

	if (problem || !source || !back) {
		printf("%s\n", problem ? problem : "out of memory");
		return 2;
	}
	memset(source, 0x5a, bytes);
	if ((result = driver.init(0)) || (result = driver.primary_retain(&context, 0)) ||
	    (result = driver.set_current(context)) || (result = driver.memory_allocate(&device_memory, bytes)))
		goto failed;
	for (unsigned round = 0;; round++) {
		source[round % bytes] = (unsigned char)round;
		if ((result = driver.copy_to_device(device_memory, source, bytes)) ||
		    (result = driver.copy_to_host(back, device_memory, bytes)))
			goto failed;
		if (memcmp(source, back, bytes)) {
			printf("round %u: the copy differs\n", round);
			return 3;
		}
		if (!round) {
			printf("copying\n");
			fflush(stdout);
		}
	}
failed:
	printf("%s\n", driver_error_name(&driver, result));
	return 1;
}
