/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs: which of them may be given away or destroyed. */
#ifndef EXECUTOR_GRAPH_H
#define EXECUTOR_GRAPH_H

#include <stdbool.h>

#include "execute.h"
#include "vgpu_graph.h"

/* A graph that no node owns, and that no capture goes into, nor into one in it. */
CUresult graph_check_free(const struct executor *executor, uint32_t graph);

/* The same for one that a new node of 'parent' is to own: it must not be one that 'parent' is in. */
CUresult graph_check_child(const struct executor *executor, uint32_t parent, uint32_t child);

/* Is it the root, or embedded in it, at whatever depth? */
bool graph_is_in(const struct executor *executor, uint32_t graph, uint32_t root);

/* From now on the node owns the graph; it may own several. */
void graph_embed(struct executor *executor, uint32_t node, uint32_t child);

/*
 * How the guest is told of nodes of a graph: by the ids that they have or, where they have none, the next ones of
 * 'ids'. If those do not suffice *ret_missing says how many more are needed, and nothing is done.
 */
struct graph_naming {
	uint32_t graph;
	const CUgraphNode *nodes;
	const CUgraphEdgeData *edges; /* NULL: all plain */
	size_t count;
	const uint32_t *ids;
	size_t id_count;
};
CUresult graph_dependencies_write(struct executor *executor, const struct graph_naming *naming,
				  struct vgpu_graph_dependency *wire, size_t *ret_missing);

/* Edges between nodes of a graph as the driver takes them; graph_edges_end() frees them. */
struct graph_edges {
	CUgraphNode *from;
	CUgraphNode *to; /* NULL where the wire says 0 */
	CUgraphEdgeData *data;
	size_t count;
};

/* To be ended whatever the result. */
CUresult graph_edges_read(const struct executor *executor, uint32_t graph, const struct vgpu_graph_edge *wire,
			  size_t bytes, struct graph_edges *ret_edges);
void graph_edges_end(struct graph_edges *edges);

/*
 * Handles of conditions, as the driver gave them. They end with the graph that they were asked for; the driver gets no
 * others from us.
 */
struct graph_condition {
	uint64_t handle;
	uint32_t graph;
};

struct graph_conditions {
	struct graph_condition *list;
	size_t count;
	size_t capacity;
};

/* May a conditional node of the graph have the handle? It is the graph's, or of one that this is embedded in. */
bool graph_condition_is_known(const struct executor *executor, uint32_t graph, uint64_t handle);
/* After graphs have been forgotten. */
void graph_conditions_settle(struct executor *executor);

/* A conditional node as it came (vgpu_graph.h), and the ids for its bodies. */
CUresult graph_conditional_read(CUcontext context, const uint8_t *payload, size_t bytes,
				CUDA_CONDITIONAL_NODE_PARAMS *ret_conditional, const uint32_t **ret_bodies);
/* Has the driver told the bodies of the node that it has made? */
bool graph_bodies_are_there(const CUDA_CONDITIONAL_NODE_PARAMS *conditional);

/*
 * The bodies of a new conditional node get these ids, which must be free, each another. Before the driver is asked
 * (CUDA_ERROR_INVALID_HANDLE and the like: they cannot), and after it.
 */
CUresult graph_bodies_check(struct executor *executor, const uint32_t *ids, size_t count);
void graph_bodies_mint(struct executor *executor, uint32_t node, const uint32_t *ids, CUgraph const *graphs,
		       size_t count);

#endif
