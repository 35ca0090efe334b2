/* SPDX-License-Identifier: Apache-2.0 */
/* Launches as nodes of graphs. */
#ifndef SOFTGPU_DRIVER_LAUNCH_H
#define SOFTGPU_DRIVER_LAUNCH_H

#include "stream.h"

/* The launch that a kernel node describes, in the current context.  The work is the caller's. */
CUresult launch_work_make(const CUDA_KERNEL_NODE_PARAMS *parameters, struct work **ret_work);

#endif
