/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of graphs from and to memory of the program that is not shared.
 *
 * For the driver such a copy is an embedded graph of two nodes: a copy between
 * the device and memory of ours, and before or behind it a host function that
 * fetches the bytes from the guest or delivers them (host_function.h).  So they
 * move when the graph comes to them, in the order of its edges, at each launch.
 * The memory belongs to a user object of the embedded graph: it lives as long as
 * any graph, copy or executable of it, or launch, may use it.
 */
#ifndef EXECUTOR_PROGRAM_COPY_H
#define EXECUTOR_PROGRAM_COPY_H

#include <stdint.h>

#include "cuda_abi.h"
#include "vgpu_graph.h"

struct executor;
struct context;
struct program_copy;

struct program_copies {
	struct program_copy *first;
	_Atomic uint32_t ended; /* that are not used any more, and still have their memory */
};

/* A graph with the copy that the guest describes, for the caller to embed (by a copy of it) and to destroy. */
CUresult program_copy_make(struct executor *executor, const struct vgpu_graph_program_copy *wire, CUgraph *ret_graph);

/* Before that: who has the graph names the array that is copied (graph_hold.h). */
CUresult program_copy_hold(struct executor *executor, uint64_t holder, const struct vgpu_graph_program_copy *wire);

/* The copy that a node of a graph is; NULL: it is another one. With its graph, if that is wanted. */
struct program_copy *program_copy_find(const struct executor *executor, CUgraphNode node, CUgraph *ret_graph);

/* What the guest has described. */
const struct vgpu_graph_program_copy *program_copy_wire(const struct program_copy *copy);

/* The node is to be this copy from now on. CUDA_ERROR_INVALID_VALUE: it is none, or one in the other direction. */
CUresult program_copy_replace(struct executor *executor, CUgraphNode node, const struct vgpu_graph_program_copy *wire);

/* Gives back the memory of those that are not used any more. In each round of the loop. */
void program_copies_poll(struct executor *executor);

/* Before the context ends. */
void program_copies_forget_context(struct executor *executor, const struct context *context);

#endif
