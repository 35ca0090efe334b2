/* SPDX-License-Identifier: Apache-2.0 */
#include "capture.h"

#include <stdlib.h>
#include <string.h>

struct capture {
	unsigned references; /* of frontiers */
	CUstreamCaptureStatus status;
	bool is_over;
	uint64_t id;
	const struct stream *origin; /* compared only */
	const struct context *context;
	bool blocking; /* a stream of it takes part in the default stream's implicit synchronisation */
	struct graph_body *body;
	size_t first;	      /* of the nodes that are its own */
	struct graph *target; /* a reference: the graph that has those before; NULL: it makes one */
	struct capture *next; /* of those that are open */
};

struct frontier {
	struct capture *capture;
	size_t *nodes;
	size_t count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct capture *open_captures;
static _Atomic unsigned open_count; /* lets streams pass without the lock */
static uint64_t last_id;

/* Under the lock. */
static void capture_close(struct capture *capture)
{
	struct capture **link = &open_captures;

	if (capture->is_over)
		return;
	while (*link != capture)
		link = &(*link)->next;
	*link = capture->next;
	capture->is_over = true;
	open_count--;
	if (capture->target)
		capture->target->is_captured_to = false;
}

/* Under the lock. */
static void frontier_drop(struct frontier *frontier)
{
	if (--frontier->capture->references == 0) {
		capture_close(frontier->capture);
		graph_body_release(frontier->capture->body);
		if (frontier->capture->target)
			object_release(&frontier->capture->target->object);
		free(frontier->capture);
	}
	free(frontier->nodes);
	free(frontier);
}

void frontier_free(struct frontier *frontier)
{
	if (!frontier)
		return;
	pthread_mutex_lock(&lock);
	frontier_drop(frontier);
	pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static struct frontier *frontier_make(struct capture *capture, const size_t *nodes, size_t count)
{
	struct frontier *frontier = calloc(1, sizeof(*frontier));

	if (!frontier)
		return NULL;
	frontier->nodes = malloc((count ? count : 1) * sizeof(*nodes));
	if (!frontier->nodes) {
		free(frontier);
		return NULL;
	}
	if (count)
		memcpy(frontier->nodes, nodes, count * sizeof(*nodes));
	frontier->count = count;
	frontier->capture = capture;
	capture->references++;
	return frontier;
}

/* The stream's frontier in an open capture; NULL: it is in none.  Under the lock. */
static struct frontier *frontier_of(struct stream *stream)
{
	if (stream->frontier && stream->frontier->capture->is_over) {
		frontier_drop(stream->frontier);
		stream->frontier = NULL;
	}
	return stream->frontier;
}

/* The open capture that excludes use of the default stream 'stream'; NULL: none.  Under the lock. */
static struct capture *capture_excluding(const struct stream *stream)
{
	if (stream != stream->context->legacy)
		return NULL;
	for (struct capture *capture = open_captures; capture; capture = capture->next)
		if (capture->blocking && capture->context == stream->context)
			return capture;
	return NULL;
}

bool capture_is_open(struct stream *stream)
{
	bool is_open;

	if (!open_count)
		return false;
	pthread_mutex_lock(&lock);
	is_open = frontier_of(stream) != NULL;
	pthread_mutex_unlock(&lock);
	return is_open;
}

/* Under the lock. */
static CUresult node_append(struct frontier *frontier, struct work *work)
{
	struct capture *capture = frontier->capture;
	size_t *nodes;

	if (capture->status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	nodes = realloc(frontier->nodes, (frontier->count + 1) * sizeof(*nodes));
	if (!nodes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	frontier->nodes = nodes;
	if (!graph_body_append(capture->body, work, nodes, frontier->count))
		return CUDA_ERROR_OUT_OF_MEMORY;
	nodes[0] = capture->body->count - 1;
	frontier->count = 1;
	return CUDA_SUCCESS;
}

bool capture_submit(struct stream *stream, struct work *work, CUresult *ret_result)
{
	struct frontier *frontier;
	struct capture *excluding = NULL;

	if (!open_count)
		return false;
	pthread_mutex_lock(&lock);
	frontier = frontier_of(stream);
	if (frontier) {
		*ret_result = node_append(frontier, work);
	} else {
		excluding = capture_excluding(stream);
		if (excluding) {
			excluding->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
			*ret_result = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
		}
	}
	pthread_mutex_unlock(&lock);
	return frontier || excluding;
}

bool capture_refuse(struct stream *stream, CUresult *ret_result)
{
	struct capture *capture;
	bool implicit = false;

	if (!open_count)
		return false;
	pthread_mutex_lock(&lock);
	if (frontier_of(stream)) {
		capture = stream->frontier->capture;
	} else {
		capture = capture_excluding(stream);
		implicit = true;
	}
	if (capture) {
		capture->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
		*ret_result = implicit ? CUDA_ERROR_STREAM_CAPTURE_IMPLICIT : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	pthread_mutex_unlock(&lock);
	return capture != NULL;
}

bool capture_record(struct stream *stream, struct frontier **ret_frontier, CUresult *ret_result)
{
	struct frontier *frontier;

	*ret_frontier = NULL;
	if (!open_count)
		return false;
	pthread_mutex_lock(&lock);
	frontier = frontier_of(stream);
	if (frontier && frontier->capture->status != CU_STREAM_CAPTURE_STATUS_ACTIVE) {
		*ret_result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	} else if (frontier) {
		*ret_frontier = frontier_make(frontier->capture, frontier->nodes, frontier->count);
		*ret_result = *ret_frontier ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	}
	pthread_mutex_unlock(&lock);
	return frontier != NULL;
}

bool frontier_is_captured(const struct frontier *frontier)
{
	bool is_captured;

	if (!frontier)
		return false;
	pthread_mutex_lock(&lock);
	is_captured = !frontier->capture->is_over;
	pthread_mutex_unlock(&lock);
	return is_captured;
}

/* The nodes of both, each once.  Under the lock. */
static CUresult frontier_unite(struct frontier *to, const struct frontier *from)
{
	size_t *nodes = realloc(to->nodes, (to->count + from->count + 1) * sizeof(*nodes));

	if (!nodes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	to->nodes = nodes;
	for (size_t index = 0; index < from->count; index++) {
		size_t place = 0;

		while (place < to->count && nodes[place] != from->nodes[index])
			place++;
		if (place == to->count)
			nodes[to->count++] = from->nodes[index];
	}
	return CUDA_SUCCESS;
}

/* Under the lock. */
static CUresult join(struct stream *stream, const struct frontier *frontier)
{
	struct capture *capture = frontier->capture;

	if (capture->status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (!stream->frontier) {
		/* The legacy default stream cannot be captured. */
		if (stream == stream->context->legacy) {
			capture->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
			return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
		}
		stream->frontier = frontier_make(capture, frontier->nodes, frontier->count);
		if (!stream->frontier)
			return CUDA_ERROR_OUT_OF_MEMORY;
		capture->blocking |= stream->blocking;
		return CUDA_SUCCESS;
	}
	if (stream->frontier->capture == capture)
		return frontier_unite(stream->frontier, frontier);
	capture->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
	stream->frontier->capture->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
	return CUDA_ERROR_STREAM_CAPTURE_MERGE;
}

bool capture_join(struct stream *stream, const struct frontier *frontier, CUresult *ret_result)
{
	bool concerned = true;

	if (!open_count)
		return false;
	pthread_mutex_lock(&lock);
	frontier_of(stream);
	if (frontier && !frontier->capture->is_over) {
		*ret_result = join(stream, frontier);
	} else if (stream->frontier) {
		/* The event is outside of the capture. */
		stream->frontier->capture->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
		*ret_result = CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
	} else {
		concerned = false;
	}
	pthread_mutex_unlock(&lock);
	return concerned;
}

/* Under the lock. */
static CUresult begin(struct stream *stream, struct graph *target, const size_t *nodes, size_t count)
{
	struct capture *capture;

	if (frontier_of(stream) || (target && target->is_captured_to))
		return CUDA_ERROR_ILLEGAL_STATE;
	capture = calloc(1, sizeof(*capture));
	if (!capture)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*capture = (struct capture){
		.status = CU_STREAM_CAPTURE_STATUS_ACTIVE,
		.id = last_id + 1,
		.origin = stream,
		.context = stream->context,
		.blocking = stream->blocking,
		.body = target ? graph_body_copy(target->body) : graph_body_make(),
		.next = open_captures,
	};
	if (capture->body)
		stream->frontier = frontier_make(capture, nodes, count);
	if (!stream->frontier) {
		graph_body_release(capture->body);
		free(capture);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	capture->first = capture->body->count;
	if (target) {
		object_retain(&target->object);
		capture->target = target;
		target->is_captured_to = true;
	}
	last_id++;
	open_captures = capture;
	open_count++;
	return CUDA_SUCCESS;
}

CUresult capture_begin(struct stream *stream, struct graph *target, const size_t *nodes, size_t count)
{
	CUresult result;

	if (stream == stream->context->legacy)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	pthread_mutex_lock(&lock);
	result = begin(stream, target, nodes, count);
	pthread_mutex_unlock(&lock);
	return result;
}

/* Every node that nothing depends on is one that the origin's next node would depend on.  Under the lock. */
static bool is_joined(const struct frontier *frontier)
{
	const struct graph_body *body = frontier->capture->body;
	size_t first = frontier->capture->first, ends = 0, in_frontier = 0;

	for (size_t index = first; index < body->count; index++)
		ends += !body->nodes[index].has_dependents;
	for (size_t index = 0; index < frontier->count; index++)
		in_frontier += frontier->nodes[index] >= first && !body->nodes[frontier->nodes[index]].has_dependents;
	return ends == in_frontier;
}

/* Under the lock. */
static CUresult end(struct stream *stream, struct captured *ret_captured)
{
	struct frontier *frontier = frontier_of(stream);
	struct capture *capture;
	CUresult result = CUDA_SUCCESS;

	if (!frontier)
		return CUDA_ERROR_ILLEGAL_STATE;
	capture = frontier->capture;
	if (capture->origin != stream)
		return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
	if (capture->status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	else if (!is_joined(frontier))
		result = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
	capture_close(capture);
	if (!result) {
		graph_body_retain(capture->body);
		*ret_captured = (struct captured){capture->body, capture->target, capture->first};
		if (capture->target)
			object_retain(&capture->target->object);
	}
	frontier_drop(frontier);
	stream->frontier = NULL;
	return result;
}

CUresult capture_end(struct stream *stream, struct captured *ret_captured)
{
	CUresult result;

	pthread_mutex_lock(&lock);
	result = end(stream, ret_captured);
	pthread_mutex_unlock(&lock);
	return result;
}

CUresult capture_status(struct stream *stream, CUstreamCaptureStatus *ret_status, uint64_t *ret_id)
{
	CUresult result = CUDA_SUCCESS;

	*ret_status = CU_STREAM_CAPTURE_STATUS_NONE;
	*ret_id = 0;
	if (!open_count)
		return CUDA_SUCCESS;
	pthread_mutex_lock(&lock);
	if (frontier_of(stream)) {
		*ret_status = stream->frontier->capture->status;
		*ret_id = stream->frontier->capture->id;
	} else if (capture_excluding(stream)) {
		result = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
	}
	pthread_mutex_unlock(&lock);
	return result;
}
