/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs share that run the kernel of memory_calls.h in a device's primary context. */
#ifndef TEST_INCREMENT_H
#define TEST_INCREMENT_H

#include "memory_calls.h"

/* One of each in a program, however many of its files include this. */
__attribute__((weak)) CUcontext context;
__attribute__((weak)) CUfunction increment;

/* Makes the context current and loads the kernel; not 0: one of them failed. */
static inline int increment_load(void)
{
	CUmodule module;

	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuModuleLoadData(&module, increment_image) || cuModuleGetFunction(&increment, module, "increment");
}

#endif
