/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts: the owner of streams, modules, memory and of an error that sticks.
 *
 * Life: a context is published when it is created.  Destroying it takes it out
 * of the table, waits for its work, and takes everything that it owns with it;
 * the structure itself lives until no thread has it on its stack of current
 * contexts any more, and those threads are told CONTEXT_IS_DESTROYED.
 */
#ifndef SOFTGPU_DRIVER_CONTEXT_H
#define SOFTGPU_DRIVER_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "object.h"

struct stream;

struct context {
	struct object object;
	uint64_t id;
	/*
	 * Of a green context (green.h): the primary one, a reference. What is made in a green context is the primary's,
	 * but for streams: only these, the gate, the default stream, 'destroyed' and 'multiprocessors' are its own.
	 */
	struct context *base;
	unsigned multiprocessors; /* of a green context: how many a grid has at a time */
	CUdevice device;
	bool primary;
	_Atomic unsigned flags;
	_Atomic bool destroyed;
	_Atomic bool cancelled; /* running kernels end at once */
	_Atomic CUresult error; /* the first fault; every later call returns it */
	_Atomic int cache_config;
	_Atomic size_t limits[CU_LIMIT_MAX];
	_Atomic uint32_t peers;	     /* a bit for each device whose memory it was let at */
	_Atomic uint64_t work_count; /* items that threads have submitted, ever: tells whether the context was used */
	struct stream *legacy;	     /* the default stream */
	struct stream *streams;	     /* all of them, under the lock of stream.c */
	struct stream *gate; /* under that lock: all later work waits for its work so far; NULL: there is none */
};

/*
 * The calling thread's current context, checked: initialised, alive and without an error.  Borrowed.  Where it is a
 * green one: the primary context that it belongs to.
 */
CUresult context_current(struct context **ret_context);

/* The same, but an error that sticks does not matter (destruction and the like). */
CUresult context_current_unchecked(struct context **ret_context);

/* A context given by handle; NULL stands for the current one.  The caller releases the object.  Green ones as above. */
CUresult context_acquire(CUcontext handle, struct context **ret_context);

/* The same, a green one as itself. */
CUresult context_acquire_green(CUcontext handle, struct context **ret_context);

/* The current context 'context', or the green one that is current in its place: what streams are made in. */
struct context *context_for_streams(struct context *context);

/* Records the fault of a kernel or copy.  The first one stays. */
void context_fail(struct context *context, CUresult error);

/* Waits for all work submitted so far, writes device printf text; returns the sticky error. */
CUresult context_synchronize(struct context *context);

CUresult context_create(CUdevice device, unsigned flags, bool primary, struct context **ret_context);
void context_destroy(struct context *context); /* takes the caller's reference; already retired */

/* A green context of a primary one. */
CUresult context_create_green(struct context *base, unsigned multiprocessors, struct context **ret_context);
void context_destroy_green(struct context *context); /* takes the caller's reference; already retired */

bool context_flags_valid(unsigned flags);

/* The thread's stack of current contexts.  Each entry holds a reference. */
CUresult context_push(struct context *context);
struct context *context_pop(void); /* with the stack's reference; NULL when empty */
struct context *context_top(void); /* borrowed; NULL when empty; destroyed ones too */

/* Drops the modules of libraries that this context uses (library.c). */
void context_release_images(struct context *context);

/* CUDA_SUCCESS, or the sticky error. */
static inline CUresult context_check(const struct context *context)
{
	return context->destroyed ? CUDA_ERROR_CONTEXT_IS_DESTROYED : context->error;
}

#endif
