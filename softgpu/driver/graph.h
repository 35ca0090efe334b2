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
#include "user_object.h"

struct graph_node {
	struct work *work;
	uint64_t key;		    /* names the node in all bodies that come from one another */
	struct node_handle *handle; /* in the one graph that has the body; NULL: nobody asked */
	/* The graphs of the work's bodies, likewise; they may have moved on from those (graph_settle()). */
	struct graph **children;
	size_t *dependencies; /* indices of earlier nodes, each once */
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
	struct user_references users;
	struct condition **conditions; /* a reference each: handles that the graph was asked for */
	size_t condition_count;
};

struct graph {
	struct object object;
	struct graph_body *body; /* a reference */
	uint64_t number;
	uint64_t original; /* number of the graph that it was copied from, 0: none */
	bool is_owned;	   /* by a node, and destroyed with it */
	_Atomic bool is_captured_to;
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

/* Nodes of the same kinds with the same edges, in embedded bodies too. */
CUgraphExecUpdateResult graph_bodies_compare(const struct graph_body *one, const struct graph_body *other);

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

/* The end of a graph's handle, whoever owned it. */
void graph_end(struct graph *graph);

/* With a reference for the caller. */
CUresult graph_acquire(CUgraph handle, struct graph **ret_graph);
CUresult graph_exec_acquire(CUgraphExec handle, struct graph_exec **ret_exec);

/*
 * Work that runs one body of nodes (an embedded graph, a launch) or as many as a condition decides (a conditional
 * node).  It has references of its own to them.  NULL: out of memory.
 */
struct work *graph_work_make(struct graph_body *body);
/* CUDA_ERROR_INVALID_VALUE: the description is none. The bodies are new. */
CUresult conditional_work_make(const CUDA_CONDITIONAL_NODE_PARAMS *parameters, struct work **ret_work);
/* The same with other bodies. */
struct work *graph_work_with(const struct work *former, struct graph_body *const *bodies);
/* The same with the names (keys) of the nodes of other work, whose bodies compare as the same. */
struct work *graph_work_renamed(const struct work *work, const struct work *names);
size_t graph_work_count(const struct work *work); /* 0: it is other work */
struct graph_body *graph_work_body(const struct work *work, size_t place);
const struct condition *graph_work_condition(const struct work *work);	  /* NULL: not conditional */
bool graph_works_match(const struct work *one, const struct work *other); /* as many bodies, for the same decision */

/* CUDA_ERROR_INVALID_VALUE: conditions and conditional nodes are not as they must be for an executable. */
CUresult graph_body_check(const struct graph_body *body);
/* Nothing that allocates, and no conditional nodes (API reference, cuGraphClone, CUDA_CHILD_GRAPH_NODE_PARAMS). */
bool graph_body_can_be_copied(const struct graph_body *body);
bool graph_body_is_conditional(const struct graph_body *body); /* not what is embedded in it */

/* Under the lock: gives the nodes the bodies that their embedded graphs have now. */
CUresult graph_settle(struct graph *graph);

/* Under the lock: the node of a handle, and its graph with a reference for the caller. */
CUresult graph_node_acquire(CUgraphNode handle, struct graph **ret_graph, size_t *ret_index);

/* A copy of the graph, or what it has now until graph_settle() finds that it has changed. */
CUresult graph_child_work_make(const CUDA_CHILD_GRAPH_NODE_PARAMS *child, struct work **ret_work);

/* Under the lock: the graphs that a new node of 'parent' has from the beginning; NULL: it has none yet. */
CUresult graph_children_take(const struct graph *parent, const CUgraphNodeParams *parameters, const struct work *work,
			     struct graph ***ret_children);
/* The first 'count' graphs end, and the list. */
void graph_children_end(struct graph **children, size_t count);

/* What the parameters describe; the work is the caller's. */
CUresult graph_node_work_make(const CUgraphNodeParams *parameters, struct work **ret_work);

/* Under the lock: the node that a handle names, which must be one of the graph. */
CUresult graph_node_find(const struct graph *graph, CUgraphNode handle, size_t *ret_index);

/* Under the lock: what a new node depends on, each node once and with plain edges. */
CUresult graph_nodes_find(const struct graph *graph, const CUgraphNode *dependencies, const CUgraphEdgeData *edges,
			  size_t count, size_t *indices);

/* Under the lock: the handle of a node in a body that the graph has alone. */
CUresult graph_node_handle(struct graph *graph, size_t index, CUgraphNode *ret_handle);

/* Invalidates what handles there are of a node and of its embedded graph. */
void graph_node_retire(struct graph_node *node);

#endif
