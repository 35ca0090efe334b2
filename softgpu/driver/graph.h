/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs: work that is kept, and run as often as it is launched.
 *
 * The nodes of a graph are in an order that respects their dependencies, and run
 * in it.  A body does not change once its capture has ended: a graph, its clones,
 * its executables and their launches share it.
 */
#ifndef SOFTGPU_DRIVER_GRAPH_H
#define SOFTGPU_DRIVER_GRAPH_H

#include <pthread.h>

#include "stream.h"

struct graph_node {
	struct work *work;
	size_t *dependencies; /* indices of earlier nodes */
	size_t dependency_count;
	bool has_dependents;
};

struct graph_body {
	_Atomic unsigned references;
	pthread_mutex_t running; /* launches of one body do not overlap */
	struct graph_node *nodes;
	size_t count;
	size_t capacity;
};

struct graph_body *graph_body_make(void); /* NULL: out of memory */
void graph_body_retain(struct graph_body *body);
void graph_body_release(struct graph_body *body); /* accepts NULL */

/* Appends a node.  Takes 'work' only on success; false: out of memory. */
bool graph_body_append(struct graph_body *body, struct work *work, const size_t *dependencies, size_t count);

/* A published graph of the body.  Takes the caller's reference in every case. */
CUresult graph_publish(struct graph_body *body, CUgraph *ret_graph);

#endif
