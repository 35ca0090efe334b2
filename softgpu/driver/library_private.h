/* SPDX-License-Identifier: Apache-2.0 */
/* What library.c and kernel.c share. */
#ifndef SOFTGPU_DRIVER_LIBRARY_PRIVATE_H
#define SOFTGPU_DRIVER_LIBRARY_PRIVATE_H

#include <pthread.h>

#include "library.h"

struct kernel {
	struct object object;
	struct library *library; /* a reference */
	size_t index;		 /* among the functions of each of its modules */
	char *name;
	struct engine_function_info info; /* without the name and parameters of any one module */
	struct engine_parameter *parameters;
	struct function_settings settings;
};

struct instance {
	struct context *context;
	struct module *module; /* the table's reference; NULL after it was retired */
};

struct library {
	struct object object;
	struct library *next; /* in the list of live libraries */
	struct image image;
	pthread_mutex_t lock;
	struct engine_module *unused; /* compiled, and of no context yet; its variables are in device 0's memory */
	struct instance *instances;
	size_t instance_count;
	struct kernel **kernels; /* the table's references */
	size_t kernel_count;
};

/* Makes the kernels of a library from its compiled code. */
CUresult kernels_create(struct library *library);

/* The module of a library in a context, made when it is not there yet; with a reference for the caller. */
CUresult library_module(struct library *library, struct context *context, struct module **ret_module);

#endif
