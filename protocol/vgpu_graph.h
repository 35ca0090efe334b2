/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes of graphs on the wire: the tail of cuGraphAddNode_v2, cuGraphNodeSetParams and cuGraphExecNodeSetParams is a
 * struct vgpu_graph_node, its edges, and what its type takes:
 *
 *   kernel   a struct vgpu_launch without stream, attributes and cooperation, then its parameters
 *   memset   a struct vgpu_graph_memset
 *   memcpy   a struct vgpu_graph_memcpy
 *   graph    a struct vgpu_graph_child
 *   event record, event wait
 *            a struct vgpu_graph_event
 *   host     a struct vgpu_graph_host
 *   program copy
 *            a struct vgpu_graph_program_copy
 *   allocation, free
 *            a struct vgpu_graph_allocation, a struct vgpu_graph_free; of new nodes only
 *   batch of memory operations
 *            a struct vgpu_graph_operations, then its operations
 *   conditional
 *            a struct vgpu_graph_conditional, then the ids (uint32_t) of its bodies; of new nodes only
 *   empty    nothing
 *
 * Nodes have wire ids. Who destroys a graph destroys those of its nodes.
 */
#ifndef VGPU_GRAPH_H
#define VGPU_GRAPH_H

#include "cuda_abi.h"
#include "vgpu_wire.h"

/* In one record. */
#define VGPU_GRAPH_EDGES_MAX 1024u
#define VGPU_GRAPH_IDS_MAX   4096u

struct vgpu_graph_node {
	uint32_t type;	     /* CUgraphNodeType */
	uint32_t edge_count; /* to the new node; 0 where it is not new */
};

struct vgpu_graph_edge {
	uint32_t from;
	uint32_t to; /* 0: the new node */
	CUgraphEdgeData data;
};
_Static_assert(sizeof(struct vgpu_graph_edge) == 16, "wire format");

struct vgpu_graph_memset {
	uint64_t destination;
	uint64_t row_bytes;
	uint64_t width;
	uint64_t rows;
	uint32_t value;
	uint32_t element_bytes;
};

/* As in cuMemcpy3DAsync_v2, the arrays by their ids. */
struct vgpu_graph_memcpy {
	CUDA_MEMCPY3D copy;
	uint32_t source_array;
	uint32_t destination_array;
};
_Static_assert(sizeof(struct vgpu_graph_memcpy) == 208, "wire format");

/*
 * Not a type of the API's: a memcpy of which one side is memory of the program that the executor does not share
 * (CU_MEMORYTYPE_HOST, whatever else is said of it). It is a node with an embedded graph for the driver, which calls
 * the function for the bytes.
 */
#define VGPU_GRAPH_PROGRAM_COPY 0x10000u
struct vgpu_graph_program_copy {
	struct vgpu_graph_memcpy memcpy;
	uint64_t function; /* the guest's name for it, as in cuLaunchHostFunc */
};
_Static_assert(sizeof(struct vgpu_graph_program_copy) == 216, "wire format");

/* What a stream in a capture depends on. */
struct vgpu_graph_dependency {
	uint32_t node;
	uint32_t type; /* CUgraphNodeType */
	CUgraphEdgeData data;
};
_Static_assert(sizeof(struct vgpu_graph_dependency) == 16, "wire format");

struct vgpu_graph_child {
	uint32_t graph;
	uint32_t ownership; /* CUgraphChildGraphNodeOwnership */
};

struct vgpu_graph_event {
	uint32_t event;
	uint32_t reserved;
};

struct vgpu_graph_allocation {
	uint64_t bytes;
	int32_t device;
	uint32_t reserved;
};

struct vgpu_graph_free {
	uint64_t address;
};

#define VGPU_GRAPH_OPERATIONS_MAX 256u /* documented for cuStreamBatchMemOp */
struct vgpu_graph_operations {
	uint32_t count; /* of CUstreamBatchMemOpParams that follow */
	uint32_t flags;
};

/* The handle is one that the driver gave for the graph, or for one that it is embedded in. */
#define VGPU_GRAPH_BODIES_MAX 1024u
struct vgpu_graph_conditional {
	uint64_t handle;
	uint32_t type; /* CUgraphConditionalNodeType */
	uint32_t size; /* of ids that follow */
};

struct vgpu_graph_host {
	uint64_t function; /* the guest's name for it, as in cuLaunchHostFunc */
};

#endif
