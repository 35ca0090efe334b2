/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions and kernels: objects of VGPU_KIND_FUNCTION and VGPU_KIND_KERNEL with
 * a struct function as their detail.  They belong to a module or a library and
 * end with it.
 *
 * Attributes and the layout of parameters are fetched once for each device, on
 * first use: asking at load time would defeat the driver's lazy loading.
 */
#ifndef VGPU_FUNCTION_H
#define VGPU_FUNCTION_H

#include "call.h"
#include "object.h"

/* How many kinds of launches are remembered of each function. */
#define LAUNCH_KINDS_PROVEN 4

/* The parameters lie one after the other within what the driver takes at most. */
#define FUNCTION_PARAMETER_BYTES_MAX 32768u

struct function_info {
	struct function_info *next; /* of another device */
	CUdevice device;
	uint32_t parameter_count;
	uint32_t parameter_bytes; /* end of the last one */
	int32_t values[VGPU_FUNCTION_ATTRIBUTES_MAX];
	uint16_t results[VGPU_FUNCTION_ATTRIBUTES_MAX];
	struct vgpu_function_parameter parameters[];
};

struct function {
	struct function *next; /* of the same owner */
	struct object *object;
	struct object *owner;		      /* module or library */
	struct function_info *infos;	      /* grows only, at its head */
	struct function *derived;	      /* of a kernel: its functions, one for each context */
	uint64_t proven[LAUNCH_KINDS_PROVEN]; /* kinds of launches that the host has taken, 0: none (launch.c) */
	uint32_t proofs;
	struct launch_legacy *legacy; /* NULL: launched as today */
	char name[];
};

/* NULL: out of memory. */
struct function *function_new(struct object *object, struct object *owner, const char *name);
/* Releases the objects too. */
void function_free(struct function *function);

/* The function that a handle of VGPU_KIND_FUNCTION or VGPU_KIND_KERNEL is; NULL: none of that kind. */
struct function *function_of_kind(const void *handle, enum vgpu_kind kind);
/* The function or kernel that a handle is; NULL: neither. */
struct function *function_find(const void *handle);

/* What is known of it on a device; the info lives as long as the function. */
CUresult function_info_get(struct function *function, uint32_t context, CUdevice device,
			   const struct function_info **ret_info);

#endif
