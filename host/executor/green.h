/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Green contexts (green.c), and the resources that they are made of (green_resource.c): what the driver says of a
 * resource stays here, the guest has a token (vgpu_green.h), so that the driver is only given what it gave. There is no
 * call by which a guest would give one back: those that were made last are remembered. Main thread.
 */
#ifndef EXECUTOR_GREEN_H
#define EXECUTOR_GREEN_H

#include <stdint.h>

#include "cuda_abi.h"

struct context;
struct executor;

#define GREEN_RESOURCES_MAX    4096u
#define GREEN_DESCRIPTIONS_MAX 1024u

struct green_description {
	uint64_t token; /* 0: free */
	uint64_t hash;	/* of the tokens that it is made of */
	CUdevResourceDesc description;
};

struct green_resource {
	uint64_t token;			      /* 0: free */
	uint8_t bytes[sizeof(CUdevResource)]; /* as the driver gave them */
};

/* The tables are made when they are first needed; a token's place is its remainder. */
struct green_resources {
	struct green_resource *resources;
	struct green_description *descriptions;
	uint64_t resource_last;
	uint64_t description_last;
};

/* The descriptor of a token; CUDA_ERROR_INVALID_VALUE: there is none. */
CUresult green_description_find(const struct executor *executor, uint64_t token, CUdevResourceDesc *ret_description);

/* All green contexts of the primary one end, before that does. */
void green_contexts_end(struct executor *executor, const struct context *primary);

#endif
