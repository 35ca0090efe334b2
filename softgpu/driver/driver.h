/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's state as a whole: initialised or not, and the engine that all contexts share. */
#ifndef SOFTGPU_DRIVER_DRIVER_H
#define SOFTGPU_DRIVER_DRIVER_H

#include <stdbool.h>

#include "cuda_abi.h"

struct engine;

#define DRIVER_VERSION 13000

/* CUDA_SUCCESS after cuInit; else NOT_INITIALIZED (also in a forked child) or DEINITIALIZED (at exit). */
CUresult driver_check(void);

/* Valid after cuInit. */
struct engine *driver_engine(void);

#endif
