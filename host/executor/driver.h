/* SPDX-License-Identifier: Apache-2.0 */
/* The host's CUDA driver library: NVIDIA's, or softgpu. */
#ifndef EXECUTOR_DRIVER_H
#define EXECUTOR_DRIVER_H

#include <stdbool.h>
#include <stddef.h>

#include "driver_table.h"

/*
 * Loads 'library' (path or soname). False: the reason is in 'text'. The library is never unloaded:
 * NVIDIA's does not support that.
 */
bool driver_open(const char *library, struct driver *ret_driver, char *text, size_t text_bytes);

/* CUDA_ERROR_..., for logs. */
const char *driver_error_name(const struct driver *driver, CUresult result);

/* After cuInit. */
bool driver_is_software(const struct driver *driver);

#endif
