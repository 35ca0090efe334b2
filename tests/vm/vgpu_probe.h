/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of vgpu_probe share. */
#ifndef VGPU_PROBE_H
#define VGPU_PROBE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(condition, ...)                                                                          \
	do {                                                                                           \
		if (!(condition)) {                                                                    \
			printf("FAILED at line %d: %s (%s): ", __LINE__, #condition, strerror(errno)); \
			printf(__VA_ARGS__);                                                           \
			putchar('\n');                                                                 \
			exit(1);                                                                       \
		}                                                                                      \
	} while (0)

static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* As root, on the device's registers (vgpu_probe_registers.c). */
int run_fuzz(const char *resource, int seconds, uint64_t seed);
int run_hammer(uint64_t registers, bool resets);
int run_eject(void);

#endif
