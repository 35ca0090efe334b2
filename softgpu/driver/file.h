/* SPDX-License-Identifier: Apache-2.0 */
/* Image files. */
#ifndef SOFTGPU_DRIVER_FILE_H
#define SOFTGPU_DRIVER_FILE_H

#include <stddef.h>

#include "cuda_abi.h"

/* Reads a whole file, followed by a zero byte that is not counted.  The caller frees it. */
CUresult file_read(const char *path, void **ret_data, size_t *ret_bytes);

/*
 * The same for a file that holds an image, and checks that what its headers claim
 * lies within it.  FILE_NOT_FOUND,
 * INVALID_IMAGE, INVALID_VALUE (no path).
 */
CUresult file_read_image(const char *path, void **ret_data);

#endif
