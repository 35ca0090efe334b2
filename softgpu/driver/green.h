/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Green contexts: a context that borrows everything from the device's primary
 * one but its streams (context.h).  A grid in one of these has at most as many
 * processors at a time as the green context has multiprocessors; which ones is
 * not said, and grids in several of its streams have as many each.
 */
#ifndef SOFTGPU_DRIVER_GREEN_H
#define SOFTGPU_DRIVER_GREEN_H

#include "context.h"
#include "cuda_abi.h"

/* The handle of a green context; NULL for NULL. */
CUgreenCtx green_handle(struct context *context);

#endif
