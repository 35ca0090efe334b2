/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts, and which one is current in each thread.
 *
 * A context is an object of VGPU_KIND_CONTEXT.  Each device's primary context is
 * one object for the life of the process, whether it is active on the host or
 * not.  'life' tells a destroyed context's slot from a new one's: a thread
 * remembers the life beside the object.
 */
#ifndef VGPU_CONTEXT_H
#define VGPU_CONTEXT_H

#include "call.h"
#include "object.h"

/* object.words of a context. */
enum context_word {
	CONTEXT_LIFE,	/* never 0, unique in the process */
	CONTEXT_ACTIVE, /* 0: does not exist on the host; else a number that no other activation has */
	CONTEXT_DEVICE,
	CONTEXT_FLAGS,
	CONTEXT_REFERENCES, /* cuCtxAttach, cuDevicePrimaryCtxRetain */
	CONTEXT_VERSION,    /* cuCtxGetApiVersion, 0: not asked yet */
};

struct thread_state {
	struct object *current; /* NULL: none */
	uint64_t life;
	/* The per-thread default stream used last, and the activation of its context. */
	uint32_t stream;
	uint64_t stream_activation;
	uint32_t capture_mode;	      /* CUstreamCaptureMode */
	bool is_host_function;	      /* the thread that calls them, which may make no calls of its own */
	struct thread_detail *detail; /* context stack and streams */
};

/* Small, so that the library can still be loaded with dlopen(). */
extern __thread struct thread_state thread_state __attribute__((tls_model("initial-exec")));

CUresult contexts_prepare(uint32_t device_count);

/* The live context that 'handle' is; an inactive primary context is one. */
struct object *context_find(CUcontext handle);
/* As above; NULL is the current context. CUDA_ERROR_INVALID_CONTEXT if there is none. */
CUresult context_of(CUcontext handle, struct object **ret_context);
/* The current context if it is usable. */
static inline struct object *context_current(void)
{
	struct object *current = thread_state.current;

	if (current &&
	    __builtin_expect(current->words[CONTEXT_LIFE] == thread_state.life && current->words[CONTEXT_ACTIVE], 1))
		return current;
	return NULL;
}
/* Why there is no usable current context. */
CUresult context_current_error(void);

/* A green context's object: its handles as CUgreenCtx and as CUcontext are not the same. NULL: it is none. */
struct object *context_find_green(CUgreenCtx handle);
CUgreenCtx context_green_handle(struct object *context); /* NULL: it is no green context */

/* A new life of the object, whose host's context has just been made. */
void context_begin(struct object *context, CUdevice device, unsigned int flags);
/* What belongs to the context ends with it. */
void context_end(struct object *context);

/* The primary context of a device; NULL: no such device. */
struct object *context_primary(CUdevice device);
/* As cuDevicePrimaryCtxRetain() and cuDevicePrimaryCtxRelease(). */
CUresult context_primary_retain(CUdevice device, struct object **ret_context);
CUresult context_primary_release(CUdevice device);

struct object *context_by_id(uint32_t id);

/* The context stack of the calling thread (context_stack.c). */
CUresult context_stack_push(struct object *context);
/* The former top; NULL: the stack was empty. */
struct object *context_stack_pop(void);
/* Replaces the top; NULL removes it. */
CUresult context_stack_set(struct object *context);

/* The calling thread's per-thread default stream in its current context, made on first use. */
CUresult context_thread_stream(uint32_t *ret_stream);

#endif
