/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Libraries: images that are loaded once, and become a module in each context
 * that uses them.
 *
 * The image is compiled when the library is loaded, so that errors come where
 * the program expects them; the first context that asks takes that copy.
 */
#ifndef SOFTGPU_DRIVER_LIBRARY_H
#define SOFTGPU_DRIVER_LIBRARY_H

#include "module.h"

/* The function of a kernel handle in a context.  INVALID_HANDLE when it is no kernel. */
CUresult kernel_function(const void *handle, struct context *context, struct function **ret_function);

#endif
