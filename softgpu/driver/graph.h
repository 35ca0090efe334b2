/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs: work that is kept, and run as often as it is launched.
 *
 * The nodes of a graph are in an order that respects their dependencies, and run
 * in it.  A graph, its executables and their launches share a body; who changes
 * it has it alone, or takes a copy (graph_body_own()).  Copies share the work of
 * their nodes, which therefore does not change.
 */
#ifndef SOFTGPU_DRIVER_GRAPH_H
#define SOFTGPU_DRIVER_GRAPH_H

#include <pthread.h>

#include "stream.h"

struct graph_node {
	struct work *work;
	uint64_t key;		    /* names the node in all bodies that come from one another */
	struct node_handle *handle; /* in the one graph that has the body; NULL: nobody asked */
	size_t *dependencies;	    /* indices of earlier nodes, each once */
	size_t dependency_count;
	bool has_dependents;
	bool is_disabled; /* in an executable */
};

struct graph_body {
	_Atomic unsigned references;
	pthread_mutex_t running; /* launches of one body do not overlap */
	struct graph_node *nodes;
	size_t count;
	size_t capacity;
};

struct graph {
	struct object object;
	struct graph_body *body; /* a reference */
};

struct graph_exec {
	struct object object;
	struct graph_body *body; /* a reference; replaced by an update */
	uint64_t flags;
};

/* Guards which body graphs and executables have.  A body that one holds alone is changed under it. */
void graphs_lock(void);
void graphs_unlock(void);

struct graph_body *graph_body_make(void); /* NULL: out of memory */
void graph_body_retain(struct graph_body *body);
void graph_body_release(struct graph_body *body); /* accepts NULL */

/* Without the handles, which stay the graph's; NULL: out of memory. */
struct graph_body *graph_body_copy(const struct graph_body *body);

/* Replaces a body that others share by a copy with the handles.  False: out of memory. */
bool graph_body_own(struct graph_body **body);

/* Appends a node.  Takes 'work' only on success; false: out of memory. */
bool graph_body_append(struct graph_body *body, struct work *work, const size_t *dependencies, size_t count);

bool graph_body_find(const struct graph_body *body, uint64_t key, size_t *ret_index);

/* These change a body that the caller has alone. */
void graph_node_replace(struct graph_node *node, struct work *work); /* takes the work */
void graph_body_remove(struct graph_body *body, size_t index);
bool graph_node_depends(const struct graph_node *node, size_t dependency);
/* False: out of memory. The order of the nodes is not right until graph_body_sort(). */
bool graph_node_connect(struct graph_node *node, size_t dependency);
void graph_node_disconnect(struct graph_node *node, size_t dependency);
/* CUDA_ERROR_INVALID_VALUE: there is a cycle, and the body is as it was. */
CUresult graph_body_sort(struct graph_body *body);

/* A published graph of the body.  Takes the caller's reference in every case. */
CUresult graph_publish(struct graph_body *body, CUgraph *ret_graph);

/* With a reference for the caller. */
CUresult graph_acquire(CUgraph handle, struct graph **ret_graph);
CUresult graph_exec_acquire(CUgraphExec handle, struct graph_exec **ret_exec);

/* Work that runs the body, of which it takes a reference of its own; NULL: out of memory. */
struct work *graph_work_make(struct graph_body *body);

/* Under the lock: the node that a handle names, which must be one of the graph. */
CUresult graph_node_find(const struct graph *graph, CUgraphNode handle, size_t *ret_index);

/* Under the lock: the handle of a node in a body that the graph has alone. */
CUresult graph_node_handle(struct graph *graph, size_t index, CUgraphNode *ret_handle);

/* Invalidates the handles of a graph's nodes. */
void graph_handles_retire(struct graph_body *body);

#endif
