/* SPDX-License-Identifier: Apache-2.0 */
/* Host functions of graphs. Any thread may call. */
#ifndef VGPU_HOST_FUNCTION_H
#define VGPU_HOST_FUNCTION_H

#include <stdint.h>

#include "cuda_abi.h"

/* A name for the executor, good as long as the process lives: a graph may call the function at any time. */
CUresult host_function_keep(CUhostFn function, void *data, uint64_t *ret_name);

/* Of a function that no graph has come to have. */
void host_function_drop(uint64_t name);

#endif
