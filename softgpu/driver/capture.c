/* SPDX-License-Identifier: Apache-2.0 */
#include "capture_private.h"

#include <stdlib.h>
#include <string.h>

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
	capture->graph->is_captured_to = false;
}

/* What a capture has made that ends badly.  Under the lock. */
static void capture_undo(struct capture *capture)
{
	struct graph *graph = capture->graph;
	size_t index;

	if (capture->makes_graph) {
		graph_end(graph);
		return;
	}
	if (!graph_body_own(&graph->body))
		return;
	for (size_t place = 0; place < capture->count; place++) {
		if (!capture->nodes[place].is_own || !graph_body_find(graph->body, capture->nodes[place].key, &index))
			continue;
		graph_node_retire(&graph->body->nodes[index]);
		graph_body_remove(graph->body, index);
	}
}

/* Under the lock. */
static void frontier_drop(struct frontier *frontier)
{
	struct capture *capture = frontier->capture;

	if (--capture->references == 0) {
		if (!capture->is_over) {
			capture_close(capture);
			capture_undo(capture);
		}
		object_release(&capture->graph->object);
		free(capture->nodes);
		free(capture);
	}
	free(frontier->handles);
	free(frontier->edges);
	free(frontier->nodes);
	free(frontier);
}

void frontier_free(struct frontier *frontier)
{
	if (!frontier)
		return;
	graphs_lock();
	frontier_drop(frontier);
	graphs_unlock();
}

/* Under the lock. */
static struct frontier *frontier_make(struct capture *capture, const uint64_t *nodes, size_t count)
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

struct frontier *frontier_of(struct stream *stream)
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
	graphs_lock();
	is_open = frontier_of(stream) != NULL;
	graphs_unlock();
	return is_open;
}

bool captured_reserve(struct capture *capture)
{
	size_t capacity = capture->capacity ? 2 * capture->capacity : 16;
	struct captured *grown;

	if (capture->count < capture->capacity)
		return true;
	grown = realloc(capture->nodes, capacity * sizeof(*grown));
	if (!grown)
		return false;
	capture->nodes = grown;
	capture->capacity = capacity;
	return true;
}

size_t frontier_find(const struct frontier *frontier, size_t *indices)
{
	size_t found = 0;

	for (size_t place = 0; place < frontier->count; place++)
		found += graph_body_find(frontier->capture->graph->body, frontier->nodes[place], &indices[found]);
	return found;
}

/* Under the lock. */
static CUresult node_append(struct frontier *frontier, struct work *work)
{
	struct capture *capture = frontier->capture;
	uint64_t *nodes;
	size_t *indices;
	bool done;

	if (capture->status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	nodes = realloc(frontier->nodes, (frontier->count + 1) * sizeof(*nodes));
	if (!nodes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	frontier->nodes = nodes;
	indices = malloc((frontier->count + 1) * sizeof(*indices));
	done = indices && captured_reserve(capture) && graph_body_own(&capture->graph->body) &&
	       graph_body_append(capture->graph->body, work, indices, frontier_find(frontier, indices));
	free(indices);
	if (!done)
		return CUDA_ERROR_OUT_OF_MEMORY;
	nodes[0] = capture->graph->body->nodes[capture->graph->body->count - 1].key;
	frontier->count = 1;
	capture->nodes[capture->count++] = (struct captured){.key = nodes[0], .is_own = true};
	return CUDA_SUCCESS;
}

bool capture_submit(struct stream *stream, struct work *work, CUresult *ret_result)
{
	struct frontier *frontier;
	struct capture *excluding = NULL;

	if (!open_count)
		return false;
	graphs_lock();
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
	graphs_unlock();
	return frontier || excluding;
}

bool capture_refuse(struct stream *stream, CUresult *ret_result)
{
	struct capture *capture;
	bool implicit = false;

	if (!open_count)
		return false;
	graphs_lock();
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
	graphs_unlock();
	return capture != NULL;
}

bool capture_record(struct stream *stream, struct frontier **ret_frontier, CUresult *ret_result)
{
	struct frontier *frontier;

	*ret_frontier = NULL;
	if (!open_count)
		return false;
	graphs_lock();
	frontier = frontier_of(stream);
	if (frontier && frontier->capture->status != CU_STREAM_CAPTURE_STATUS_ACTIVE) {
		*ret_result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	} else if (frontier) {
		*ret_frontier = frontier_make(frontier->capture, frontier->nodes, frontier->count);
		*ret_result = *ret_frontier ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	}
	graphs_unlock();
	return frontier != NULL;
}

bool frontier_is_captured(const struct frontier *frontier)
{
	bool is_captured;

	if (!frontier)
		return false;
	graphs_lock();
	is_captured = !frontier->capture->is_over;
	graphs_unlock();
	return is_captured;
}

CUresult frontier_unite(struct frontier *to, const uint64_t *nodes, size_t count)
{
	uint64_t *grown = realloc(to->nodes, (to->count + count + 1) * sizeof(*grown));

	if (!grown)
		return CUDA_ERROR_OUT_OF_MEMORY;
	to->nodes = grown;
	for (size_t index = 0; index < count; index++) {
		size_t place = 0;

		while (place < to->count && grown[place] != nodes[index])
			place++;
		if (place == to->count)
			grown[to->count++] = nodes[index];
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
		return frontier_unite(stream->frontier, frontier->nodes, frontier->count);
	capture->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
	stream->frontier->capture->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
	return CUDA_ERROR_STREAM_CAPTURE_MERGE;
}

bool capture_join(struct stream *stream, const struct frontier *frontier, CUresult *ret_result)
{
	bool concerned = true;

	if (!open_count)
		return false;
	graphs_lock();
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
	graphs_unlock();
	return concerned;
}

/* Under the lock. */
static CUresult begin(struct stream *stream, struct graph *target, const uint64_t *nodes, size_t count)
{
	struct capture *capture;
	CUgraph made = NULL;

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
		.graph = target,
		.makes_graph = !target,
		.next = open_captures,
	};
	if (!target) {
		struct graph_body *body = graph_body_make();

		if (body && !graph_publish(body, &made))
			capture->graph = (struct graph *)made;
	}
	if (capture->graph)
		stream->frontier = frontier_make(capture, nodes, count);
	if (!stream->frontier) {
		if (made)
			graph_end(capture->graph);
		free(capture);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	object_retain(&capture->graph->object);
	capture->graph->is_captured_to = true;
	last_id++;
	open_captures = capture;
	open_count++;
	return CUDA_SUCCESS;
}

CUresult capture_begin(struct stream *stream, struct graph *target, const uint64_t *nodes, size_t count)
{
	CUresult result;

	if (stream == stream->context->legacy)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	graphs_lock();
	result = begin(stream, target, nodes, count);
	graphs_unlock();
	return result;
}

bool frontier_has(const struct frontier *frontier, uint64_t key)
{
	for (size_t place = 0; place < frontier->count; place++)
		if (frontier->nodes[place] == key)
			return true;
	return false;
}

/* Every node that nothing depends on is one that the origin's next node would depend on.  Under the lock. */
static bool is_joined(const struct frontier *frontier)
{
	const struct capture *capture = frontier->capture;
	const struct graph_body *body = capture->graph->body;

	for (size_t place = 0; place < capture->count; place++) {
		const struct captured *node = &capture->nodes[place];
		size_t index;

		if (!node->is_excused && graph_body_find(body, node->key, &index) &&
		    !body->nodes[index].has_dependents && !frontier_has(frontier, node->key))
			return false;
	}
	return true;
}

/* Under the lock. */
static CUresult end(struct stream *stream, CUgraph *ret_graph)
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
	if (result)
		capture_undo(capture);
	else
		*ret_graph = (CUgraph)capture->graph;
	frontier_drop(frontier);
	stream->frontier = NULL;
	return result;
}

CUresult capture_end(struct stream *stream, CUgraph *ret_graph)
{
	CUresult result;

	graphs_lock();
	result = end(stream, ret_graph);
	graphs_unlock();
	return result;
}

CUresult capture_status(struct stream *stream, CUstreamCaptureStatus *ret_status, uint64_t *ret_id)
{
	CUresult result = CUDA_SUCCESS;

	*ret_status = CU_STREAM_CAPTURE_STATUS_NONE;
	*ret_id = 0;
	if (!open_count)
		return CUDA_SUCCESS;
	graphs_lock();
	if (frontier_of(stream)) {
		*ret_status = stream->frontier->capture->status;
		*ret_id = stream->frontier->capture->id;
	} else if (capture_excluding(stream)) {
		result = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
	}
	graphs_unlock();
	return result;
}
