/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wire ids (vgpu_wire.h) and the driver's objects behind them: one table for
 * each kind, grown on demand up to a cap, because the guest chooses the ids.
 *
 * An object has an owner: the id of the context or module that it ends with.
 * handles_forget_owned() removes what goes with its owner, so that no id can
 * name an object that the driver has already freed.
 */
#ifndef EXECUTOR_HANDLES_H
#define EXECUTOR_HANDLES_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "vgpu_wire.h"

struct handle {
	void *object;	  /* NULL: the id is free */
	uint32_t context; /* wire id, 0: none */
	uint32_t owner;	  /* wire id of what it belongs to beside the context, 0: nothing */
	uint64_t cache;	  /* of the subject that uses the kind, 0 at first */
};

struct handle_table {
	struct handle *entries;
	uint32_t capacity;
	uint32_t end; /* above the highest index ever used */
	uint32_t count;
};

struct handles {
	struct handle_table tables[VGPU_KIND_COUNT];
};

/* NULL: there is no such object of that kind. */
struct handle *handles_find(const struct handles *handles, enum vgpu_kind kind, uint32_t id);

/*
 * CUDA_SUCCESS if 'id' is of 'kind', within the cap and free, room for it being made;
 * CUDA_ERROR_INVALID_HANDLE or CUDA_ERROR_OUT_OF_MEMORY otherwise.
 */
CUresult handles_reserve(struct handles *handles, enum vgpu_kind kind, uint32_t id);

/* After handles_reserve() of the same id. */
struct handle *handles_mint(struct handles *handles, uint32_t id, uint32_t context, void *object);
void handles_forget(struct handles *handles, uint32_t id);

/* Forgets every object of the context, or of the module, library or mipmapped array. */
void handles_forget_context(struct handles *handles, uint32_t context);
void handles_forget_owned(struct handles *handles, uint32_t owner);

/* Forgets a graph, or a node with an embedded graph, and what belongs to it: nodes, and the graphs embedded in them. */
void handles_forget_graph(struct handles *handles, uint32_t id);

/* The next object of 'kind' whose index is *index or above; *index is moved past it. NULL: no more. */
struct handle *handles_next(const struct handles *handles, enum vgpu_kind kind, uint32_t *index);

#endif
