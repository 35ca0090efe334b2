/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that allocate and free memory.  The memory of an allocation node is there
 * from when it is made until the last body that has it is gone; launches only note
 * whether it counts as allocated.
 */
#ifndef SOFTGPU_DRIVER_GRAPH_MEMORY_H
#define SOFTGPU_DRIVER_GRAPH_MEMORY_H

#include "graph.h"

/* The work is the caller's. */
CUresult graph_allocation_work(CUdevice device, uint64_t bytes, CUdeviceptr *ret_address, struct work **ret_work);
/* CUDA_ERROR_INVALID_VALUE: no allocation node has it, or a free node already. */
CUresult graph_free_work(CUdeviceptr address, struct work **ret_work);

/* Of the works that these make. */
void graph_allocation_describe(const struct work *work, CUDA_MEM_ALLOC_NODE_PARAMS *ret_parameters);
CUdeviceptr graph_free_address(const struct work *work);

/* Are there such nodes, in embedded bodies too?  Such a graph is not copied, and loses no nodes and edges. */
bool graph_body_has_memory(const struct graph_body *body);

#endif
