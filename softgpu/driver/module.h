/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules and their functions.
 *
 * A module is one loaded image in one context.  Its functions hold a reference
 * to it, and launches one to their function, so that unloading a module whose
 * kernels still run takes its code away only when they are done.
 */
#ifndef SOFTGPU_DRIVER_MODULE_H
#define SOFTGPU_DRIVER_MODULE_H

#include "context.h"
#include "image.h"
#include "jit.h"
#include "object.h"
#include "softgpu/engine/engine.h"

/* What a program may set on a function or kernel. */
struct function_settings {
	_Atomic int dynamic_shared_bytes; /* at most; -1: the default */
	_Atomic int carveout;
	_Atomic int cache_config;
};

struct function {
	struct object object;
	struct module *module; /* a reference */
	const struct engine_function *code;
	struct engine_function_info info;
	struct function_settings own;
	struct function_settings *settings; /* its own, or those of the kernel it belongs to */
	struct object *settings_owner;	    /* a reference to that kernel, or NULL */
};

struct module {
	struct object object;
	struct context *context; /* the module is retired before the context ends */
	struct engine_module *code;
	size_t function_count;
	struct function **functions; /* the table's references */
};

/*
 * Loads an image for a context.  The table's reference is the owner's: retiring
 * the module unloads it.  'owner' is the context, or the library that retires it.
 */
CUresult module_create(struct context *context, const void *owner, struct engine_module *code,
		       struct module **ret_module);

/* Where a variable is; either output may be NULL. */
CUresult module_global(struct module *module, const char *name, CUdeviceptr *ret_address, size_t *ret_bytes);

/* A function by its own handle, or by a kernel's, for a context.  The caller releases it. */
CUresult function_acquire(const void *handle, struct context *context, struct function **ret_function);

/* Attribute of code, with what is set on it. */
CUresult function_attribute(const struct engine_function_info *info, const struct function_settings *settings,
			    CUfunction_attribute name, int *ret_value);
CUresult function_set_attribute(const struct engine_function_info *info, struct function_settings *settings,
				CUfunction_attribute name, int value);
CUresult function_parameter(const struct engine_function_info *info, size_t index, size_t *ret_offset,
			    size_t *ret_bytes);
void function_settings_reset(struct function_settings *settings);

/* The most dynamic shared memory that a launch may ask for. */
unsigned function_dynamic_shared_maximum(const struct engine_function_info *info,
					 const struct function_settings *settings);

#endif
