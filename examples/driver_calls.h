/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of the CUDA driver API that the examples make, found in
 * libcuda.so.1 at run time, so that they are built without a CUDA toolkit.
 * Every call ends the program with a message when it fails.
 */
#ifndef EXAMPLES_DRIVER_CALLS_H
#define EXAMPLES_DRIVER_CALLS_H

#include <stddef.h>

#include "cuda_abi.h"

/* Loads libcuda.so.1 and makes the first device's primary context current; returns its name, a static string. */
const char *driver_start(void);
void driver_stop(void);

CUfunction driver_load(const char *ptx, const char *kernel);
CUdeviceptr driver_allocate(size_t bytes);
void driver_free(CUdeviceptr address);
void driver_copy_to_device(CUdeviceptr to, const void *from, size_t bytes);
void driver_copy_to_host(void *to, CUdeviceptr from, size_t bytes);

/* Launches and waits; returns the kernel's time in milliseconds, taken by events. */
float driver_run(CUfunction function, const unsigned grid[2], const unsigned block[2], void **parameters);

/* Milliseconds of a clock that only runs forward. */
double clock_milliseconds(void);

#endif
