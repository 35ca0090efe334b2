/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texture and surface references: variables of a module whose state the program
 * sets, or (textures) objects of their own that no kernel names.  A change waits
 * for the context's work, for kernels that were launched before see what was
 * set then.  All functions may be called by any thread.
 */
#ifndef SOFTGPU_DRIVER_REFERENCE_H
#define SOFTGPU_DRIVER_REFERENCE_H

#include "module.h"

struct reference {
	struct object object;
	struct context *context;
	struct reference *next; /* of all */
	uint64_t address;	/* of the variable; 0: none */
	bool is_bound;
	CUDA_RESOURCE_DESC resource; /* where it is bound */
	CUDA_TEXTURE_DESC texture;   /* of a texture */
	CUarray_format format;	     /* of linear memory */
	unsigned int channels;
};

/*
 * The reference of that name in a module, made at first; kind is OBJECT_TEXTURE_REFERENCE or OBJECT_SURFACE_REFERENCE.
 * What the calls that give one answer; INVALID_VALUE where there is no name.
 */
CUresult reference_of_module(CUmodule handle, const char *name, enum object_kind kind,
			     struct reference **ret_reference);

/* Of a texture, which belongs to the context. */
CUresult reference_create(struct context *context, struct reference **ret_reference);

/* Locked; INVALID_HANDLE. It takes no context to set or ask something. reference_end() gives it back. */
CUresult reference_begin(const void *handle, enum object_kind kind, struct reference **ret_reference);
void reference_end(struct reference *reference);

/* Makes kernels see the state; what cannot be sampled is not there for them, which is no error here. Locked. */
void reference_apply(struct reference *reference);

/* After an array has ended: what was bound to it is bound to nothing. */
void references_settle(void);

#endif
