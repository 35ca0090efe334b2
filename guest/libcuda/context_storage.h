/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Context-local storage: values that the runtimes linked into a program hang on
 * a context, each under a key of its own.  A read is on the path of every runtime
 * call, so it takes no lock.
 */
#ifndef VGPU_CONTEXT_STORAGE_H
#define VGPU_CONTEXT_STORAGE_H

#include "context.h"

typedef void (*context_storage_destructor)(CUcontext context, void *key, void *value);

CUresult context_storage_put(struct object *context, void *key, void *value, context_storage_destructor destructor);
CUresult context_storage_delete(struct object *context, void *key);
/* CUDA_ERROR_INVALID_HANDLE: nothing under the key. */
CUresult context_storage_get(const struct object *context, void *key, void **ret_value);

/* Removes everything and runs the destructors: a primary context has been reset. */
void context_storage_clear(struct object *context);

/* The same when the context is destroyed: nobody may use its storage any more. */
void context_storage_end(struct object *context);

#endif
