/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs: which of them may be given away or destroyed. */
#ifndef EXECUTOR_GRAPH_H
#define EXECUTOR_GRAPH_H

#include <stdbool.h>

#include "execute.h"
#include "vgpu_graph.h"

/* A graph that no node owns, and that no capture goes into (its handle's cache is the capture's stream then). */
CUresult graph_check_free(const struct executor *executor, uint32_t graph);

/* The same for one that a new node of 'parent' is to own: it must not be one that 'parent' is in. */
CUresult graph_check_child(const struct executor *executor, uint32_t parent, uint32_t child);

/* Is it the root, or embedded in it, at whatever depth? */
bool graph_is_in(const struct executor *executor, uint32_t graph, uint32_t root);

/* From now on the node owns the graph. */
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

#endif
