/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs share that run the kernel of memory_calls.h in a device's primary context. */
#ifndef TEST_INCREMENT_H
#define TEST_INCREMENT_H

#include "memory_calls.h"

extern CUcontext context;
extern CUfunction increment;

/* Makes the context current and loads the kernel; not 0: one of them failed. */
int increment_load(void);

#endif
