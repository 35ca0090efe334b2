/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that nodes of graphs name: modules and libraries (of their kernels),
 * events, arrays.  What the driver does with a graph of which such an object is
 * gone is not documented, so the driver never comes to see that: one that the
 * guest destroys is forgotten at once, and destroyed when no graph and no
 * executable that may name it is left.
 *
 * What a graph was ever given counts as named by it, and by its copies and
 * executables.
 */
#ifndef EXECUTOR_GRAPH_HOLD_H
#define EXECUTOR_GRAPH_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "vgpu_wire.h"

struct executor;
struct context;
struct graph_held;

/* Who names it: the id of a graph or an executable, or graph_holder_of_capture(). */
struct graph_hold {
	uint64_t holder;
	struct graph_held *held;
};

struct graph_holds {
	struct graph_hold *list;
	size_t count;
	size_t capacity;
	struct graph_held *held;
	size_t gone; /* of those, with their context: a launch looks for nothing as long as there are none */
};

static inline uint64_t graph_holder_of_capture(uint64_t number)
{
	return number | 1ull << 63;
}

/* Before the driver is given the object of the id (of a function or kernel: what it belongs to) for the holder. */
CUresult graph_hold_add(struct executor *executor, uint64_t holder, uint32_t id);
/* The same for the capture that the stream is in, if it is in one. */
CUresult graph_hold_captured(struct executor *executor, CUstream stream, uint32_t id);

/* Everything that the graph or the executable names is there. CUDA_ERROR_CONTEXT_IS_DESTROYED: something is not. */
CUresult graph_hold_check(const struct executor *executor, uint32_t holder);

/* The same, and what the graph names, with the graphs embedded in it, or the executable, the other names too. */
CUresult graph_hold_copy(struct executor *executor, uint32_t from, uint64_t holder);

/* A capture has ended, in the graph of the id or (0) in none. */
void graph_hold_capture_end(struct executor *executor, uint64_t number, uint32_t graph);

/*
 * The guest destroys the object. False: nothing names it, so it is the caller's to destroy. True: that is done
 * later, and the id is forgotten.
 */
bool graph_hold_end(struct executor *executor, uint32_t id);

/* After graphs or executables have been forgotten. */
void graph_holds_settle(struct executor *executor);

/* The context ends, and its objects with it. */
void graph_holds_forget_context(struct executor *executor, const struct context *context);

#endif
