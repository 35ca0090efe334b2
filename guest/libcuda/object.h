/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of the guest library: what the opaque handles of the CUDA API point
 * to.  They live in one reserved range of addresses, a fixed-size slot each, so
 * that any value a program passes can be checked without being dereferenced.
 * The wire id of an object (vgpu_wire.h) is minted here.
 */
#ifndef VGPU_OBJECT_H
#define VGPU_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "vgpu_wire.h"

struct object {
	uint32_t id;	   /* wire id; 0: the slot is free */
	uint32_t context;  /* wire id of the context it belongs to, 0: none; of a green context its primary one's */
	void *detail;	   /* of the subject's own, may be NULL */
	uint64_t words[6]; /* of the subject's own */
};
_Static_assert(sizeof(struct object) == 64, "a slot is a cache line");

/*
 * A new object of 'kind'; NULL: none left. It is the caller's until object_release(). What is made in a green context
 * belongs to the primary one, unless it is a stream.
 */
struct object *object_mint(enum vgpu_kind kind, uint32_t context);
void object_release(struct object *object);

/* The context that what is made in 'context' belongs to: itself, or a green one's primary one. */
uint32_t object_context_owner(uint32_t context);

/* The live object that 'handle' is, if it is one of 'kind'; else NULL. */
struct object *object_find(const void *handle, enum vgpu_kind kind);

/* The live object of a wire id; NULL: there is none. */
struct object *object_by_id(uint32_t id);

/*
 * Wire id of a handle; result when it is none: CUDA_ERROR_INVALID_HANDLE, INVALID_CONTEXT for a context,
 * INVALID_VALUE for what belongs to graphs and for pools.
 */
CUresult object_id(const void *handle, enum vgpu_kind kind, uint32_t *ret_id);

/*
 * Streams: NULL and CU_STREAM_LEGACY are 0; CU_STREAM_PER_THREAD, and NULL with per_thread_default,
 * are the calling thread's own stream in its current context, made on first use.
 */
CUresult stream_id(CUstream stream, bool per_thread_default, uint32_t *ret_id);

/* A kernel may stand where a function is expected (cudart 13 does so): either's wire id. */
CUresult function_id(CUfunction function, uint32_t *ret_id);

#endif
