/* SPDX-License-Identifier: Apache-2.0 */
/* Stream capture: keeps the executor's own marks out of it. */
#ifndef EXECUTOR_CAPTURE_H
#define EXECUTOR_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execute.h"

/* One that goes on. */
struct capture {
	uint64_t number;  /* the driver's, 0: it has told none */
	uint32_t origin;  /* id of the stream that it was begun in */
	uint32_t graph;	  /* id of the graph that it goes into, whose handle's cache is the origin; 0: it has none */
	bool makes_graph; /* which was not there before */
};

struct captures {
	struct capture *list;
	size_t count;
	size_t capacity;
};

/* NULL: there is none with that number. */
struct capture *capture_by_number(const struct executor *executor, uint64_t number);
/* NULL: none was begun in the stream. */
struct capture *capture_by_origin(const struct executor *executor, uint32_t stream_id);

/* The graph that a capture of the stream goes into, as far as the driver tells; NULL: there is none. */
CUgraph capture_graph(const struct executor *executor, CUstream stream);

/* Streams have ended with their context, and their captures with them. */
void captures_forget_streams(struct executor *executor);

/* The driver's number of the capture that the stream is in; 0: it is in none. */
CUresult capture_find(struct executor *executor, CUstream stream, uint64_t *ret_capture);

/* CUDA_SUCCESS if an event may be recorded in the stream without becoming part of a graph. */
CUresult capture_check(struct executor *executor, CUstream stream);

#endif
