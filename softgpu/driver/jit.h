/* SPDX-License-Identifier: Apache-2.0 */
/* The options of module loading and linking: where messages go.  How to compile is not ours to choose. */
#ifndef SOFTGPU_DRIVER_JIT_H
#define SOFTGPU_DRIVER_JIT_H

#include <stddef.h>

#include "cuda_abi.h"
#include "image.h"

struct engine_module;

struct jit {
	char *error_log; /* NULL: none wanted */
	size_t error_log_bytes;
	void **error_log_used; /* NULL, or where the length goes, packed as a pointer */
	char *info_log;
	size_t info_log_bytes;
	void **info_log_used;
	void **wall_time; /* NULL, or where milliseconds go, as a float */
};

/* INVALID_VALUE for options that do not exist. */
CUresult jit_read(unsigned count, const CUjit_option *names, void **values, struct jit *ret_jit);

/* image_read(), with the reason of a failure where jit_load() puts it. */
CUresult jit_read_image(const void *data, const struct jit *jit, struct image *ret_image);

/* Compiles; the variables are in the device's memory.  A failure's reason goes to the error log and, as one line, to
 * standard error. */
CUresult jit_load(CUdevice device, const struct image *image, const struct jit *jit, struct engine_module **ret_module);

#endif
