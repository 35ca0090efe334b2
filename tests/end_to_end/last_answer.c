/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks for a large answer when it is told to, and says what came: for a test that ends the executor when it has given
 * the answer and little of it has arrived. What is asked for after that says why there is none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

/* As much as is asked for at once: pieces that are all on their way when the first one arrives. */
enum { COPY_BYTES = 8 << 20 };

int main(void)
{
	struct driver driver;
	CUcontext context;
	CUdeviceptr device_memory;
	CUresult result;
	const char *problem = driver_open("libcuda.so.1", &driver);
	unsigned char *source = malloc(COPY_BYTES), *back = calloc(COPY_BYTES, 1);

	if (problem || !source || !back) {
		printf("%s\n", problem ? problem : "out of memory");
		return 2;
	}
	for (size_t i = 0; i < COPY_BYTES; i++)
		source[i] = (unsigned char)(i * 2654435761u >> 24);
	if ((result = driver.init(0)) || (result = driver.primary_retain(&context, 0)) ||
	    (result = driver.set_current(context)) || (result = driver.memory_allocate(&device_memory, COPY_BYTES)) ||
	    (result = driver.copy_to_device(device_memory, source, COPY_BYTES)) ||
	    /* The copy there is done, and all that belongs to it has arrived. */
	    (result = driver.copy_to_host(back, device_memory, 1))) {
		printf("%s\n", driver_error_name(&driver, result));
		return 1;
	}
	memset(back, 0, COPY_BYTES);
	printf("ready\n");
	fflush(stdout);
	if (getchar() == EOF)
		return 2;
	result = driver.copy_to_host(back, device_memory, COPY_BYTES);
	printf("%s\n", result				  ? driver_error_name(&driver, result)
		       : memcmp(source, back, COPY_BYTES) ? "wrong"
							  : "right");
	printf("%s\n", driver_error_name(&driver, driver.copy_to_host(back, device_memory, COPY_BYTES)));
	return 0;
}
