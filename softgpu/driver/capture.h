/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream capture: what is submitted to a capturing stream becomes a node of a
 * graph instead of being run.
 *
 * A frontier is the set of nodes that the next node of a stream depends on.  An
 * event recorded in a capturing stream keeps that stream's frontier, and a stream
 * that waits for the event joins the capture with it.  When a capture ends, the
 * frontiers of all its streams and events lapse.
 *
 * The graphs' lock guards all captures and frontiers.  An event's may be held when
 * it is taken.  All functions may be called by any thread.
 */
#ifndef SOFTGPU_DRIVER_CAPTURE_H
#define SOFTGPU_DRIVER_CAPTURE_H

#include "graph.h"
#include "stream.h"

struct frontier; /* one reference each */

void frontier_free(struct frontier *frontier); /* accepts NULL */

/* A capture is open in the stream, whether still valid or not. */
bool capture_is_open(struct stream *stream);

/*
 * False: the stream is not in a capture.  Otherwise *ret_result says whether the work became a node; it is
 * the capture's then, else still the caller's.
 */
bool capture_submit(struct stream *stream, struct work *work, CUresult *ret_result);

/* For what cannot be captured: invalidates the stream's capture.  False: it is in none. */
bool capture_refuse(struct stream *stream, CUresult *ret_result);

/* The frontier of a capturing stream; false: it is in no capture. */
bool capture_record(struct stream *stream, struct frontier **ret_frontier, CUresult *ret_result);

/* The stream waits for an event with this frontier (NULL: recorded in no capture); false: no capture is concerned. */
bool capture_join(struct stream *stream, const struct frontier *frontier, CUresult *ret_result);

/* An event with this frontier stands for no point in time. */
bool frontier_is_captured(const struct frontier *frontier);

/*
 * With a target, under the graphs' lock: what is captured goes into it, and the first nodes are to depend on these of
 * it (their keys).
 */
CUresult capture_begin(struct stream *stream, struct graph *target, const uint64_t *nodes, size_t count);
/* Of a capture that ends badly nothing is left in the target. */
CUresult capture_end(struct stream *stream, CUgraph *ret_graph);
/* What the stream's next node would depend on, in memory that is good until it is asked for again. */
CUresult capture_dependencies(struct stream *stream, CUgraph *ret_graph, const CUgraphNode **ret_nodes,
			      const CUgraphEdgeData **ret_edges, size_t *ret_count);
CUresult capture_update(struct stream *stream, const CUgraphNode *nodes, const CUgraphEdgeData *edges, size_t count,
			bool adds);
/* CUDA_ERROR_STREAM_CAPTURE_IMPLICIT for a default stream that a capture excludes. */
CUresult capture_status(struct stream *stream, CUstreamCaptureStatus *ret_status, uint64_t *ret_id);

#endif
