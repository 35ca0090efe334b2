/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that graphs allocate when they are launched.
 *
 * It is charged to the tenant from when its node is made until the graph and what
 * was instantiated of it are gone and it is allocated no more: a graph's end does
 * not free what a launch has allocated and nothing has freed (CUDA programming
 * guide, graph memory nodes).
 */
#ifndef EXECUTOR_GRAPH_MEMORY_H
#define EXECUTOR_GRAPH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execute.h"

/* Where a node is: in a capture that goes on (the driver's number of it, never 0 here), else in a graph. */
struct graph_memory_place {
	uint64_t capture;
	uint32_t graph;
};

struct graph_memory {
	CUdeviceptr address;
	uint64_t bytes; /* 0: another graph's, which a node frees */
	struct graph_memory_place place;
	uint32_t exec;	/* 0: none */
	uint32_t nodes; /* that allocate it, one after the other */
	uint32_t freed; /* of those, in the same graph */
	uint32_t live;	/* after a launch: of those, freed by nobody yet */
};

struct graph_memories {
	struct graph_memory *entries;
	size_t count;
	size_t capacity;
};

/* Before a node is made that allocates or (bytes 0) frees: charges it. */
CUresult graph_memory_admit(struct executor *executor, uint64_t bytes);
/* After each that was admitted. */
void graph_memory_add(struct executor *executor, CUresult result, struct graph_memory_place place, CUdeviceptr address,
		      uint64_t bytes);

/* The capture has ended, in the graph or (0) in none. */
void graph_memory_capture_end(struct executor *executor, uint64_t capture, uint32_t graph);
/* No capture goes on: what some allocated that were not ended well is nobody's. */
void graph_memory_captures_forget(struct executor *executor);

/* A graph that allocates or frees has one executable at a time (API reference, cuGraphAddMemAllocNode): may it be this?
 */
CUresult graph_memory_check_instantiate(const struct executor *executor, uint32_t graph, uint32_t exec);
/* The executable has the graph's nodes from now on. */
void graph_memory_instantiate(struct executor *executor, uint32_t graph, uint32_t exec);
void graph_memory_launch(struct executor *executor, uint32_t exec);

/* The address was freed outside of graphs. */
void graph_memory_free(struct executor *executor, CUdeviceptr address);

/* After graphs or executables have been forgotten. */
void graph_memory_settle(struct executor *executor);

#endif
