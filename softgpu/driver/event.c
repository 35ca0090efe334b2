/* SPDX-License-Identifier: Apache-2.0 */
#include "event_private.h"

#include <stdlib.h>
#include <time.h>

#include "capture.h"
#include "driver.h"
#include "entry.h"
#include "print.h"
#include "shared_event.h"

void recording_release(struct recording *recording)
{
	if (!recording || --recording->references)
		return;
	stream_release(recording->stream);
	free(recording);
}

static void event_destroy(struct object *object)
{
	struct event *event = (struct event *)object;

	recording_release(event->recording);
	frontier_free(event->frontier);
	shared_event_release(event->shared);
	object_release(&event->context->object);
	pthread_mutex_destroy(&event->lock);
	free(event);
}

struct recording *recording_acquire(struct event *event)
{
	struct recording *recording;

	pthread_mutex_lock(&event->lock);
	recording = event->recording;
	if (recording)
		recording->references++;
	pthread_mutex_unlock(&event->lock);
	return recording;
}

CUresult event_acquire(CUevent handle, struct event **ret_event)
{
	struct event *event;
	CUresult result = driver_check();

	if (result)
		return result;
	event = object_acquire(handle, OBJECT_EVENT);
	if (!event)
		return CUDA_ERROR_INVALID_HANDLE;
	result = context_check(event->context);
	if (result)
		object_release(&event->object);
	else
		*ret_event = event;
	return result;
}

/* Takes the reference to 'shared' (NULL: the event is of this process alone) in every case. */
static CUresult event_make(struct context *context, unsigned int flags, struct shared_event *shared, CUevent *ret_event)
{
	struct event *event = calloc(1, sizeof(*event));

	if (!event) {
		shared_event_release(shared);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	event->shared = shared;
	object_prepare(&event->object, OBJECT_EVENT, context, event_destroy);
	event->context = context;
	object_retain(&context->object);
	event->flags = flags;
	pthread_mutex_init(&event->lock, NULL);
	if (!object_publish(&event->object)) {
		object_release(&event->object);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_event = (CUevent)event;
	return CUDA_SUCCESS;
}

ENTRY(cuEventCreate, (CUevent * ret_event, unsigned int flags))
{
	const unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
	struct shared_event *shared = NULL;
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_event || flags & ~known)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_EVENT_INTERPROCESS) {
		if (!(flags & CU_EVENT_DISABLE_TIMING))
			return CUDA_ERROR_INVALID_VALUE;
		shared = shared_event_make();
		if (!shared)
			return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return event_make(context, flags, shared, ret_event);
}

ENTRY(cuIpcGetEventHandle, (CUipcEventHandle * ret_handle, CUevent handle))
{
	struct event *event;
	CUresult result = event_acquire(handle, &event);

	if (result)
		return result;
	if (!ret_handle || !event->shared)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		shared_event_name(event->shared, ret_handle);
	object_release(&event->object);
	return result;
}

ENTRY(cuIpcOpenEventHandle, (CUevent * ret_event, CUipcEventHandle handle))
{
	struct shared_event *shared;
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_event)
		return CUDA_ERROR_INVALID_VALUE;
	result = shared_event_open(&handle, &shared);
	if (result)
		return result;
	return event_make(context, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS, shared, ret_event);
}

ENTRY(cuEventDestroy_v2, (CUevent handle))
{
	struct event *event;
	CUresult result = driver_check();

	if (result)
		return result;
	event = object_retire(handle, OBJECT_EVENT);
	if (!event)
		return CUDA_ERROR_INVALID_HANDLE;
	result = context_check(event->context);
	object_release(&event->object);
	return result;
}
ENTRY_ALIAS(cuEventDestroy, cuEventDestroy_v2, (CUevent handle));

struct record_work {
	struct work work;
	struct recording *recording;
	struct shared_event *shared; /* a reference, or NULL */
	uint64_t number;	     /* of the recording, among those of all processes */
};

static CUresult record_run(struct work *work, struct stream *stream)
{
	struct record_work *record = (struct record_work *)work;
	struct timespec now;

	(void)stream;
	clock_gettime(CLOCK_MONOTONIC, &now);
	record->recording->time_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (record->shared)
		shared_event_reach(record->shared, record->number);
	return CUDA_SUCCESS;
}

static void record_free(struct work *work)
{
	recording_release(((struct record_work *)work)->recording);
	shared_event_release(((struct record_work *)work)->shared);
	free(work);
}

/* False: the stream is not in a capture. */
static bool event_capture(struct event *event, struct stream *stream, CUresult *ret_result)
{
	struct frontier *frontier, *former = NULL;

	if (!capture_record(stream, &frontier, ret_result))
		return false;
	pthread_mutex_lock(&event->lock);
	if (!*ret_result) {
		former = event->frontier;
		event->frontier = frontier;
	}
	pthread_mutex_unlock(&event->lock);
	frontier_free(former);
	return true;
}

/* With 'is_whole', at the point that all streams of the context have come to. */
static CUresult event_record(struct event *event, struct stream *stream, bool is_whole)
{
	struct record_work *record = calloc(1, sizeof(*record));
	struct recording *recording = calloc(1, sizeof(*recording));
	struct recording *former;
	struct frontier *captured = NULL;
	CUresult result;

	if (!record || !recording) {
		free(record);
		free(recording);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	recording->references = 2; /* the work's and the event's */
	recording->stream = stream;
	object_retain(&stream->object);
	record->work = (struct work){
		.run = record_run,
		.free = record_free,
		.always = true,
		.node_type = CU_GRAPH_NODE_TYPE_EVENT_RECORD,
	};
	record->recording = recording;
	if (is_whole && !work_depend_context(&record->work, stream->green ? stream->green : stream->context)) {
		recording_release(recording); /* the event's, which will not have it */
		work_discard(&record->work);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	/* The event's lock orders its recordings as their work is ordered. */
	pthread_mutex_lock(&event->lock);
	if (event->shared) {
		record->shared = shared_event_retain(event->shared);
		record->number = shared_event_record(event->shared);
	}
	result = stream_submit(stream, &record->work, &recording->sequence);
	former = recording;
	if (!result) {
		former = event->recording;
		event->recording = recording;
		captured = event->frontier;
		event->frontier = NULL;
	}
	pthread_mutex_unlock(&event->lock);
	recording_release(former);
	frontier_free(captured);
	return result;
}

/* In a capture: a node that records. */
static CUresult node_submit(CUevent handle, struct stream *stream)
{
	struct work *work;
	CUresult result = event_record_node(handle, &work);

	return result ? result : stream_submit(stream, work, NULL);
}

ENTRY_STREAM(cuEventRecordWithFlags, (CUevent handle, CUstream stream, unsigned int flags), (handle, stream, flags))
{
	struct context *context;
	struct stream *target;
	struct event *event;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (flags & ~(unsigned)CU_EVENT_RECORD_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	result = event_acquire(handle, &event);
	if (result)
		return result;
	result = stream_acquire(context, stream, &target);
	if (result)
		goto release_event;
	if (target->context != event->context)
		result = CUDA_ERROR_INVALID_HANDLE;
	else if (flags & CU_EVENT_RECORD_EXTERNAL && capture_is_open(target))
		result = node_submit(handle, target);
	else if (!event_capture(event, target, &result))
		result = event_record(event, target, false);
	stream_release(target);
release_event:
	object_release(&event->object);
	return result;
}

ENTRY_STREAM(cuEventRecord, (CUevent handle, CUstream stream), (handle, stream))
{
	return cuEventRecordWithFlags_on(handle, stream, CU_EVENT_RECORD_DEFAULT);
}

/* The object of the event, which must be the context's; both are the caller's to release. */
static CUresult pair_acquire(CUcontext context_handle, CUevent handle, struct context **ret_context,
			     struct event **ret_event)
{
	CUresult result = context_acquire_green(context_handle, ret_context);

	if (result)
		return result;
	result = event_acquire(handle, ret_event);
	if (result)
		object_release(&(*ret_context)->object);
	return result;
}

ENTRY(cuCtxRecordEvent, (CUcontext context_handle, CUevent handle))
{
	struct context *context;
	struct stream *stream;
	struct event *event;
	CUresult result = pair_acquire(context_handle, handle, &context, &event);

	if (result)
		return result;
	if (event->context != (context->base ? context->base : context))
		result = CUDA_ERROR_INVALID_HANDLE;
	if (!result)
		result = stream_create(context, CU_STREAM_NON_BLOCKING, 0, &stream);
	if (!result) {
		result = event_record(event, stream, true);
		stream_close(stream);
		stream_release(stream);
	}
	object_release(&event->object);
	object_release(&context->object);
	return result;
}

ENTRY(cuCtxWaitEvent, (CUcontext context_handle, CUevent handle))
{
	struct context *context;
	struct event *event;
	struct work *work;
	CUresult result = pair_acquire(context_handle, handle, &context, &event);

	if (result)
		return result;
	result = event_wait_work(handle, &work);
	if (!result)
		result = stream_gate_context(context, work);
	object_release(&event->object);
	object_release(&context->object);
	return result;
}

/* Recorded in a capture that goes on: it is no point in time. */
static bool event_is_captured(struct event *event)
{
	bool is_captured;

	pthread_mutex_lock(&event->lock);
	is_captured = frontier_is_captured(event->frontier);
	pthread_mutex_unlock(&event->lock);
	return is_captured;
}

/* The event with its last recording (NULL: none), which are the caller's. */
static CUresult recorded_acquire(CUevent handle, struct event **ret_event, struct recording **ret_recording)
{
	CUresult result = event_acquire(handle, ret_event);

	if (result)
		return result;
	if (event_is_captured(*ret_event)) {
		object_release(&(*ret_event)->object);
		return CUDA_ERROR_CAPTURED_EVENT;
	}
	*ret_recording = recording_acquire(*ret_event);
	return CUDA_SUCCESS;
}

ENTRY(cuEventQuery, (CUevent handle))
{
	struct recording *recording;
	struct event *event;
	CUresult result = recorded_acquire(handle, &event, &recording);

	if (result)
		return result;
	if (recording && !stream_reached(recording->stream, recording->sequence))
		result = CUDA_ERROR_NOT_READY;
	else if (event->shared && !shared_event_is_reached(event->shared))
		result = CUDA_ERROR_NOT_READY;
	recording_release(recording);
	object_release(&event->object);
	return result;
}

ENTRY(cuEventSynchronize, (CUevent handle))
{
	struct recording *recording;
	struct event *event;
	CUresult result = recorded_acquire(handle, &event, &recording);

	if (result)
		return result;
	if (recording)
		stream_wait(recording->stream, recording->sequence);
	if (event->shared)
		shared_event_wait(event->shared, event->context);
	print_flush();
	result = context_check(event->context);
	recording_release(recording);
	object_release(&event->object);
	return result;
}

CUresult event_wait_work(CUevent handle, struct work **ret_work)
{
	struct recording *recording;
	struct event *event;
	struct work *work;
	CUresult result = event_acquire(handle, &event);

	if (result)
		return result;
	work = event->shared ? shared_event_wait_work(event->shared) : work_nothing();
	recording = recording_acquire(event);
	if (!work || (recording && !work_depend(work, recording->stream, recording->sequence)))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	if (!result)
		*ret_work = work;
	else if (work)
		work_discard(work);
	recording_release(recording);
	object_release(&event->object);
	return result;
}

bool event_join(CUevent handle, struct stream *stream, CUresult *ret_result)
{
	struct event *event;
	bool concerned;

	*ret_result = event_acquire(handle, &event);
	if (*ret_result)
		return true;
	pthread_mutex_lock(&event->lock);
	concerned = capture_join(stream, event->frontier, ret_result);
	pthread_mutex_unlock(&event->lock);
	object_release(&event->object);
	return concerned;
}

/* INVALID_HANDLE for events without a time, NOT_READY while one is pending. */
static CUresult elapsed(struct event *first, struct event *second, int64_t *ret_ns)
{
	struct recording *start = recording_acquire(first);
	struct recording *end = recording_acquire(second);
	CUresult result = CUDA_SUCCESS;

	if (!start || !end || (first->flags | second->flags) & CU_EVENT_DISABLE_TIMING ||
	    first->context != second->context)
		result = CUDA_ERROR_INVALID_HANDLE;
	else if (!stream_reached(start->stream, start->sequence) || !stream_reached(end->stream, end->sequence))
		result = CUDA_ERROR_NOT_READY;
	else
		*ret_ns = end->time_ns - start->time_ns;
	recording_release(start);
	recording_release(end);
	return result;
}

ENTRY(cuEventElapsedTime, (float *ret_milliseconds, CUevent start, CUevent end))
{
	struct event *first, *second;
	int64_t nanoseconds;
	CUresult result;

	if (!ret_milliseconds)
		return CUDA_ERROR_INVALID_VALUE;
	result = event_acquire(start, &first);
	if (result)
		return result;
	result = event_acquire(end, &second);
	if (!result) {
		result = elapsed(first, second, &nanoseconds);
		object_release(&second->object);
	}
	object_release(&first->object);
	if (!result)
		*ret_milliseconds = (float)((double)nanoseconds / 1e6);
	return result;
}
ENTRY_ALIAS(cuEventElapsedTime_v2, cuEventElapsedTime, (float *ret_milliseconds, CUevent start, CUevent end));
