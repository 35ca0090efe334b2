/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes of graphs, as the guest knows them.
 *
 * Nodes are objects of VGPU_KIND_GRAPH_NODE with a struct graph_node as their
 * detail. What the program asks of the nodes of a graph is answered from here; of
 * a graph that the host has made, by a capture or as a copy, nothing is known
 * before somebody asks (graph_learn()).
 *
 * One lock guards all of it, and is held while the host is asked: graphs are not
 * for several threads at once (API reference, "Graph object thread safety").
 */
#ifndef VGPU_GRAPH_NODE_H
#define VGPU_GRAPH_NODE_H

#include "call.h"
#include "launch.h"
#include "object.h"
#include "vgpu_graph.h"

struct graph_edge {
	struct graph_node *from;
	CUgraphEdgeData data;
};

struct graph_node {
	struct object *object;
	struct object *graph;
	CUgraphNodeType type;
	/* NULL: a node that the host made, of which the parameters are not known. */
	struct node_content *content;
	struct graph_edge *dependencies;
	size_t dependency_count;
	struct object *child;	/* its embedded graph, if that has an object */
	struct object **bodies; /* of a conditional node */
	size_t body_count;
	uint64_t visit; /* the last walk that came here */
	size_t place;	/* in the file that is being written of the graph */
};

/* What a stream of a capture was told that it depends on: the program's until it asks again, or the capture ends. */
struct graph_answer {
	struct graph_answer *next;
	uint32_t stream;
	CUgraphEdgeData *edges;
	CUgraphNode nodes[];
};

/* detail of a graph's object, made on first use. */
struct graph {
	struct graph_node **nodes;
	size_t count;
	size_t capacity;
	bool is_known;	     /* all nodes are here, with their edges */
	bool is_captured_to; /* and not to be destroyed meanwhile */
	struct graph_answer *answers;
	bool is_of_capture; /* that makes it, and has not ended */
	bool is_embedded;   /* in a node, with which it ends */
};

/* What a node does, as the program said it and as it crosses the wire. */
struct node_content {
	CUgraphNodeParams parameters; /* a kernel's point into 'launch' */
	uint32_t context;	      /* wire id */
	uint32_t wire_type;	      /* of struct vgpu_graph_node */
	size_t wire_bytes;
	union {
		struct vgpu_graph_memset memset;
		struct vgpu_graph_memcpy memcpy;
		struct vgpu_graph_program_copy program_copy;
		struct vgpu_graph_child child;
		struct vgpu_graph_event event;
		struct vgpu_graph_host host;
		struct vgpu_graph_allocation allocation;
		struct vgpu_graph_free free;
	} wire;
	struct launch_record *launch;		  /* of a kernel, else NULL */
	struct vgpu_graph_operations *operations; /* of a batch, with what follows; else NULL */
	/* Of a conditional node, with what follows; else NULL. A node that is made takes the bodies. */
	struct vgpu_graph_conditional *conditional;
	struct object **bodies;
	size_t body_count;
};

void graphs_lock(void);
void graphs_unlock(void);

/* All of these under the lock. */

/* CUDA_ERROR_INVALID_HANDLE: there is no such node. */
CUresult graph_node_find(CUgraphNode handle, struct graph_node **ret_node);
/* NULL: out of memory. */
struct graph *graph_of(struct object *object);
/* A node at the end of the graph, without dependencies; takes the object. NULL: out of memory. */
struct graph_node *graph_node_append(struct object *graph, struct object *object, CUgraphNodeType type);
/* False: out of memory. */
bool graph_node_connect(struct graph_node *node, struct graph_node *from, const CUgraphEdgeData *data);
struct graph_edge *graph_node_edge(const struct graph_node *node, const struct graph_node *from); /* NULL: none */
void graph_node_disconnect(struct graph_node *node, const struct graph_node *from);
/* Releases the object too. */
void graph_node_remove(struct graph_node *node);
/* A capture into it has ended. */
void graph_answers_end(struct graph *graph);
/* The end of the graph: its nodes, and what is known of it. */
void graph_forget(struct object *graph);
/* The node has the graph from now on. False: out of memory. */
bool graph_node_embed(struct graph_node *node, struct object *child);
/* Objects for the bodies of a new conditional node. */
CUresult graph_bodies_make(size_t count, uint32_t context, struct object ***ret_bodies);
void graph_bodies_free(struct object **bodies, size_t count); /* accepts NULL */
/* The graph of a child graph node that has none yet gets an object. */
CUresult graph_node_learn_child(struct graph_node *node, uint32_t context);
/* Asks the host how many nodes there are. */
CUresult graph_count(const struct object *graph, uint32_t context, size_t *ret_count);

/* Asks the host for what it has and the guest does not know. */
CUresult graph_learn(struct object *graph, uint32_t context);

/*
 * Edges as they cross the wire: from each of the nodes, which are of the graph and all different, to the node of
 * an id.
 */
CUresult graph_edges_write(const struct object *graph, const CUgraphNode *from, const CUgraphEdgeData *data,
			   size_t count, uint32_t to, struct vgpu_graph_edge *wire);

/* Adds edges to nodes that there are, or takes them away, on the host. */
CUresult graph_edges_send(uint32_t context, uint32_t graph, const struct vgpu_graph_edge *edges, size_t count,
			  bool adds);

/* The general form of what a node does, in 'memory'; NULL: nothing was given. */
const CUgraphNodeParams *node_parameters_of_kernel(const CUDA_KERNEL_NODE_PARAMS *kernel, CUgraphNodeParams *memory);
const CUgraphNodeParams *node_parameters_of_kernel_v1(const CUDA_KERNEL_NODE_PARAMS_v1 *kernel,
						      CUgraphNodeParams *memory);
const CUgraphNodeParams *node_parameters_of_memcpy(const CUDA_MEMCPY3D *copy, CUcontext context,
						   CUgraphNodeParams *memory);
const CUgraphNodeParams *node_parameters_of_memset(const CUDA_MEMSET_NODE_PARAMS *fill, CUcontext context,
						   CUgraphNodeParams *memory);

const CUgraphNodeParams *node_parameters_of_batch(const CUDA_BATCH_MEM_OP_NODE_PARAMS *batch,
						  CUgraphNodeParams *memory);
const CUgraphNodeParams *node_parameters_of_host(const CUDA_HOST_NODE_PARAMS *host, CUgraphNodeParams *memory);

/*
 * The content is the caller's. 'context' is the current one's wire id. With 'as_program' it is for a node that is a
 * copy of the program's memory already.
 */
CUresult node_content_make(const CUgraphNodeParams *parameters, uint32_t context, bool as_program,
			   struct node_content **ret_content);
/* Of a node that the host made: as it tells. */
CUresult node_content_learn(const struct graph_node *node, uint32_t context, struct node_content **ret_content);
void node_content_free(struct node_content *content);	 /* accepts NULL */
void node_content_abandon(struct node_content *content); /* that no graph has come to have */
const void *node_content_wire(const struct node_content *content);

/* Not under the lock: what cuGraphMemAllocNodeGetParams answers. */
CUresult graph_allocation_get(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *ret_allocation);

#endif
