/* SPDX-License-Identifier: Apache-2.0 */
/* Events in graphs. */
#include <stdlib.h>
#include <time.h>

#include "event_private.h"

struct node_work {
	struct work work;
	struct event *event; /* a reference */
};

/* The time of the launch's recording, if no other has been made since. */
static CUresult node_run(struct work *work, struct stream *stream)
{
	struct event *event = ((struct node_work *)work)->event;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&event->lock);
	if (event->recording && event->recording->stream == stream)
		event->recording->time_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	pthread_mutex_unlock(&event->lock);
	return CUDA_SUCCESS;
}

static void node_free(struct work *work)
{
	object_release(&((struct node_work *)work)->event->object);
	free(work);
}

static CUresult node_make(CUevent handle, CUgraphNodeType type, struct work **ret_work)
{
	struct node_work *work;
	struct event *event;
	CUresult result = event_acquire(handle, &event);

	if (result)
		return result;
	/* What other processes see of it is made when it is recorded, once. */
	work = event->shared ? NULL : calloc(1, sizeof(*work));
	if (!work) {
		result = event->shared ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_OUT_OF_MEMORY;
		object_release(&event->object);
		return result;
	}
	work->work = (struct work){
		.run = type == CU_GRAPH_NODE_TYPE_EVENT_RECORD ? node_run : NULL,
		.free = node_free,
		.node_type = type,
	};
	work->event = event;
	*ret_work = &work->work;
	return CUDA_SUCCESS;
}

CUevent event_node_event(const struct work *work)
{
	return work->free == node_free ? (CUevent)((const struct node_work *)work)->event : NULL;
}

CUresult event_record_node(CUevent handle, struct work **ret_work)
{
	return node_make(handle, CU_GRAPH_NODE_TYPE_EVENT_RECORD, ret_work);
}

CUresult event_wait_node(CUevent handle, struct work **ret_work)
{
	return node_make(handle, CU_GRAPH_NODE_TYPE_WAIT_EVENT, ret_work);
}

bool event_node_record(const struct work *node, struct stream *stream, uint64_t sequence)
{
	struct event *event = ((const struct node_work *)node)->event;
	struct recording *recording, *former;
	struct frontier *captured;
	struct timespec now;

	if (node->free != node_free)
		return true;
	recording = calloc(1, sizeof(*recording));
	if (!recording)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	recording->references = 1;
	recording->stream = stream;
	object_retain(&stream->object);
	recording->sequence = sequence;
	recording->time_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	pthread_mutex_lock(&event->lock);
	former = event->recording;
	event->recording = recording;
	captured = event->frontier;
	event->frontier = NULL;
	pthread_mutex_unlock(&event->lock);
	recording_release(former);
	frontier_free(captured);
	return true;
}

bool event_node_depend(const struct work *node, struct work *launch)
{
	struct recording *recording;
	bool is_depending;

	if (node->free != node_free)
		return true;
	recording = recording_acquire(((const struct node_work *)node)->event);
	is_depending = !recording || work_depend(launch, recording->stream, recording->sequence);
	recording_release(recording);
	return is_depending;
}
