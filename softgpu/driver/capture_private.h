/* SPDX-License-Identifier: Apache-2.0 */
/* Captures and frontiers from the inside, for the files of the subject.  All of it under the graphs' lock. */
#ifndef SOFTGPU_DRIVER_CAPTURE_PRIVATE_H
#define SOFTGPU_DRIVER_CAPTURE_PRIVATE_H

#include "capture.h"

/* A node that a stream of the capture has come to depend on. */
struct captured {
	uint64_t key;
	bool is_own;	 /* the capture has made it */
	bool is_excused; /* from being reached by the origin: it was taken from a stream's dependencies */
};

struct capture {
	unsigned references; /* of frontiers */
	CUstreamCaptureStatus status;
	bool is_over;
	uint64_t id;
	const struct stream *origin; /* compared only */
	const struct context *context;
	bool blocking;	     /* a stream of it takes part in the default stream's implicit synchronisation */
	struct graph *graph; /* a reference: the nodes go there at once */
	bool makes_graph;    /* it was there for nobody before */
	struct captured *nodes;
	size_t count;
	size_t capacity;
	struct capture *next; /* of those that are open */
};

struct frontier {
	struct capture *capture;
	uint64_t *nodes; /* keys */
	size_t count;
	/* As they were last told. */
	CUgraphNode *handles;
	CUgraphEdgeData *edges; /* all plain */
};

/* The stream's frontier in an open capture; NULL: it is in none. */
struct frontier *frontier_of(struct stream *stream);

/* Where the frontier's nodes are now, in room for all of them; those that are gone are passed by. */
size_t frontier_find(const struct frontier *frontier, size_t *indices);
bool frontier_has(const struct frontier *frontier, uint64_t key);
/* Adds the nodes that it does not have. */
CUresult frontier_unite(struct frontier *to, const uint64_t *nodes, size_t count);

/* Room for another node of the capture; false: out of memory. */
bool captured_reserve(struct capture *capture);

#endif
