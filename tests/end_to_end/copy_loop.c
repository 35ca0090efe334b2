/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy_loop [MIB]: copies so much (32) to the device and back until something fails, and then says what: the program
 * that tests kill or cut off. Asked by SIGUSR1 it says how many rounds were right so far; SIGINT ends it after one that
 * is.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

enum { COPY_MIB = 32 };

static volatile sig_atomic_t asked, interrupted;

static void ask(int signal_number)
{
	if (signal_number == SIGINT)
		interrupted = 1;
	asked = 1;
}

int main(int count, char **arguments)
{
	size_t copy_bytes = (count > 1 ? strtoul(arguments[1], NULL, 10) : COPY_MIB) << 20;
	struct driver driver;
	CUcontext context;
	CUdeviceptr device_memory;
	CUresult result;
	const char *problem = driver_open("libcuda.so.1", &driver);
	unsigned char *source = malloc(copy_bytes), *back = malloc(copy_bytes);

	if (problem || !source || !back) {
		printf("%s\n", problem ? problem : "out of memory");
		return 2;
	}
	signal(SIGUSR1, ask);
	signal(SIGINT, ask);
	memset(source, 0x5a, copy_bytes);
	if ((result = driver.init(0)) || (result = driver.primary_retain(&context, 0)) ||
	    (result = driver.set_current(context)) || (result = driver.memory_allocate(&device_memory, copy_bytes)))
		goto failed;
	for (unsigned round = 0;; round++) {
		source[round % copy_bytes] = (unsigned char)round;
		if ((result = driver.copy_to_device(device_memory, source, copy_bytes)) ||
		    (result = driver.copy_to_host(back, device_memory, copy_bytes)))
			goto failed;
		if (memcmp(source, back, copy_bytes)) {
			printf("round %u: the copy differs\n", round);
			return 3;
		}
		if (!round) {
			printf("copying\n");
			fflush(stdout);
		}
		if (asked) {
			asked = 0;
			printf("%u rounds\n", round + 1);
			fflush(stdout);
		}
		if (interrupted)
			return 0;
	}
failed:
	printf("%s\n", driver_error_name(&driver, result));
	return 1;
}
