/* SPDX-License-Identifier: Apache-2.0 */
#include "pending.h"

#include <stdlib.h>

#include "capture.h"
#include "context_work.h"
#include "executor.h"

/* A place in a stream. */
struct place {
	CUstream stream;
	struct context *context; /* whose default stream it is; NULL: the wait's */
	uint64_t legacy_uses;	 /* of the default stream, that it is behind */
	CUevent mark;		 /* NULL: the stream is to be idle */
	bool is_reached;
};

enum pending_kind { PENDING_STREAM, PENDING_EVENT, PENDING_CONTEXT, PENDING_COPY, PENDING_END };

struct pending {
	struct pending *next;
	enum pending_kind kind;
	struct request request; /* without payload */
	struct latency_mark mark;
	struct context *context;
	uint32_t event_id; /* PENDING_EVENT */
	CUevent event;
	struct bounce *bounce; /* PENDING_COPY */
	size_t bounce_bytes;
	pending_end *end; /* PENDING_END */
	uint64_t address;
	bool is_settled; /* others may have issued more since then */
	size_t place_count;
	struct place places[];
};

static struct pending *pending_make(struct executor *executor, enum pending_kind kind, const struct request *request,
				    size_t places_max, CUresult *ret_result)
{
	struct context *context = executor->contexts.current;
	struct pending *pending;

	if (!context) {
		*ret_result = CUDA_ERROR_INVALID_CONTEXT;
		return NULL;
	}
	if (executor->pendings.count >= PENDING_COUNT_MAX ||
	    places_max > PENDING_PLACES_MAX - executor->pendings.place_count) {
		*ret_result = CUDA_ERROR_OUT_OF_MEMORY;
		return NULL;
	}
	pending = calloc(1, sizeof(*pending) + places_max * sizeof(pending->places[0]));
	if (!pending) {
		*ret_result = CUDA_ERROR_OUT_OF_MEMORY;
		return NULL;
	}
	pending->kind = kind;
	pending->request = *request;
	pending->request.payload = NULL;
	pending->request.payload_bytes = 0;
	pending->mark = executor->latency.mark;
	pending->context = context;
	return pending;
}

/* There is room for it. 'other': the context whose default stream it is, NULL: it is in the wait's. */
static void place_add(struct pending *pending, CUstream stream, struct context *other)
{
	pending->places[pending->place_count++] = (struct place){
		.stream = stream,
		.context = other,
		.legacy_uses = (other ? other : pending->context)->legacy_uses,
	};
}

static CUresult place_query(struct executor *executor, const struct pending *pending, struct place *place)
{
	const struct driver *driver = &executor->driver;
	CUresult result;

	if (place->is_reached)
		return CUDA_SUCCESS;
	if (place->context)
		context_enter(executor, place->context->id);
	result = place->mark ? driver->cuEventQuery(place->mark) : driver->cuStreamQuery(place->stream);
	if (place->context)
		context_enter(executor, pending->context->id);
	if (result)
		return result;
	place->is_reached = true;
	if (!place->stream)
		context_legacy_note(place->context ? place->context : pending->context, place->legacy_uses);
	return CUDA_SUCCESS;
}

/* CUDA_ERROR_NOT_READY, or what the wait has come to. */
static CUresult pending_query(struct executor *executor, struct pending *pending)
{
	CUresult result = CUDA_SUCCESS;

	if (pending->kind == PENDING_EVENT)
		return executor->driver.cuEventQuery(pending->event);
	for (size_t i = 0; i < pending->place_count && !result; i++)
		result = place_query(executor, pending, &pending->places[i]);
	return result;
}

/* A call of the driver's own, over at once: the one that was waited for, or so that device printf is written out. */
static CUresult pending_call(struct executor *executor, struct pending *pending)
{
	const struct driver *driver = &executor->driver;

	if (pending->kind == PENDING_END)
		return pending->end(executor, pending->address);
	/* Work that is not in a stream of ours is the context's too; once it is settled, others may have issued more.
	 */
	if (pending->kind == PENDING_CONTEXT && !pending->is_settled)
		return driver->cuCtxSynchronize();
	return print_is_possible(&executor->print) ? context_print_flush(executor, pending->context) : CUDA_SUCCESS;
}

static void pending_free(struct executor *executor, struct pending *pending)
{
	for (size_t i = 0; i < pending->place_count; i++) {
		if (pending->places[i].mark)
			context_mark_give(executor, pending->context, pending->places[i].mark);
	}
	if (pending->bounce)
		copy_bounce_give(executor, pending->bounce);
	free(pending);
}

static void pending_finish(struct executor *executor, struct pending *pending, CUresult result)
{
	const void *payload = NULL;
	size_t payload_bytes = 0;

	if (!result)
		result = pending_call(executor, pending);
	if (!result && pending->kind != PENDING_COPY)
		reserve_synchronized(executor);
	print_forward(executor);
	if (!result && pending->bounce) {
		payload = copy_bounce_bytes(pending->bounce);
		payload_bytes = pending->bounce_bytes;
	}
	if (result) {
		counter_add(&executor->counters->errors, 1);
		gate_fault_note(executor, result);
	}
	if (pending->request.flags & VGPU_FLAG_REPLY)
		reply_send(executor, &pending->request, result, payload, payload_bytes);
	else if (result)
		channel_error_defer(&executor->channel, pending->request.context, result);
	latency_end_deferred(executor, &pending->request, &pending->mark);
	pending_free(executor, pending);
}

static CUresult pending_add(struct executor *executor, struct pending *pending)
{
	struct pendings *pendings = &executor->pendings;
	CUresult result = pending_query(executor, pending);

	if (result != CUDA_ERROR_NOT_READY) {
		pending_finish(executor, pending, result);
		return EXECUTE_DEFERRED;
	}
	pending->next = pendings->first;
	pendings->first = pending;
	pendings->count++;
	pendings->place_count += pending->place_count;
	pendings->is_settled = false;
	return EXECUTE_DEFERRED;
}

/*
 * A stream or an event may be waited for in any context; the wait is in its own, so that it ends with it.
 * The legacy default stream is the current context's.
 */
static CUresult owner_enter(struct executor *executor, enum vgpu_kind kind, uint32_t id, void **ret_object)
{
	struct handle *handle = handles_find(&executor->handles, kind, id);

	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!context_enter(executor, handle->context))
		return CUDA_ERROR_INVALID_CONTEXT;
	*ret_object = handle->object;
	return CUDA_SUCCESS;
}

CUresult pending_add_stream(struct executor *executor, const struct request *request, uint32_t stream_id)
{
	void *stream = NULL;
	CUresult result = stream_id ? owner_enter(executor, VGPU_KIND_STREAM, stream_id, &stream) : CUDA_SUCCESS;
	struct pending *pending;

	if (result)
		return result;
	pending = pending_make(executor, PENDING_STREAM, request, 1, &result);
	if (!pending)
		return result;
	place_add(pending, stream, NULL);
	return pending_add(executor, pending);
}

CUresult pending_add_copy(struct executor *executor, const struct request *request, uint32_t stream_id,
			  struct bounce *bounce, size_t bytes)
{
	CUstream stream;
	CUresult result = execute_enter_stream(executor, stream_id, &stream);
	struct pending *pending = result ? NULL : pending_make(executor, PENDING_COPY, request, 1, &result);

	if (!pending) {
		/* The copy must not land in what others use next. */
		executor->driver.cuStreamSynchronize(stream);
		return result;
	}
	place_add(pending, stream, NULL);
	pending->bounce = bounce;
	pending->bounce_bytes = bytes;
	return pending_add(executor, pending);
}

CUresult pending_add_event(struct executor *executor, const struct request *request, uint32_t event_id)
{
	void *event;
	CUresult result = owner_enter(executor, VGPU_KIND_EVENT, event_id, &event);
	struct pending *pending;

	if (result)
		return result;
	/* One place, should the event be recorded again. */
	pending = pending_make(executor, PENDING_EVENT, request, 1, &result);
	if (!pending)
		return result;
	pending->event_id = event_id;
	pending->event = event;
	return pending_add(executor, pending);
}

/* The legacy default stream and that of what was left, all that were created, those of green contexts. */
static struct pending *context_pending_make(struct executor *executor, enum pending_kind kind,
					    const struct request *request, CUresult *ret_result)
{
	struct pending *pending = pending_make(executor, kind, request,
					       2 + (size_t)executor->handles.tables[VGPU_KIND_STREAM].count +
						       executor->handles.tables[VGPU_KIND_CONTEXT].count,
					       ret_result);
	struct handle *handle;
	uint32_t index = 0, id;
	CUstream left;

	if (!pending)
		return NULL;
	id = pending->context->id;
	left = context_owner(executor, pending->context)->left_stream;
	if (context_legacy_has_work(pending->context))
		place_add(pending, NULL, NULL);
	if (left)
		place_add(pending, left, NULL);
	while ((handle = handles_next(&executor->handles, VGPU_KIND_STREAM, &index))) {
		if (handle->context == id || context_owner_id(executor, handle->context) == id)
			place_add(pending, handle->object, NULL);
	}
	for (index = 0; (handle = handles_next(&executor->handles, VGPU_KIND_CONTEXT, &index));) {
		struct context *context = (struct context *)(uintptr_t)handle->cache;

		if (context->owner == id && context_legacy_has_work(context))
			place_add(pending, NULL, context);
	}
	return pending;
}

CUresult pending_add_context(struct executor *executor, const struct request *request)
{
	CUresult result;
	struct pending *pending = context_pending_make(executor, PENDING_CONTEXT, request, &result);

	return pending ? pending_add(executor, pending) : result;
}

/* A question about them would end the captures. */
static void captured_skip(struct executor *executor, struct pending *pending)
{
	for (size_t i = 0; executor->captures.count && i < pending->place_count; i++) {
		struct place *place = &pending->places[i];

		if (capture_check(executor, place->stream))
			place->is_reached = true;
	}
}

CUresult pending_add_end(struct executor *executor, const struct request *request, struct context *context,
			 pending_end *end, uint64_t address)
{
	struct pending *pending = NULL;
	CUresult result;

	if (context_enter(executor, context->id))
		pending = context_pending_make(executor, PENDING_END, request, &result);
	if (!pending)
		return end(executor, address);
	pending->end = end;
	pending->address = address;
	captured_skip(executor, pending);
	return pending_add(executor, pending);
}

static void pending_unlink(struct executor *executor, struct pending **link)
{
	executor->pendings.count--;
	executor->pendings.place_count -= (*link)->place_count;
	*link = (*link)->next;
}

bool pending_poll(struct executor *executor)
{
	struct pending **link = &executor->pendings.first;
	bool any_ended = false;

	while (*link) {
		struct pending *pending = *link;
		CUresult result;

		context_enter(executor, pending->context->id);
		result = pending_query(executor, pending);
		if (result == CUDA_ERROR_NOT_READY) {
			link = &pending->next;
			continue;
		}
		pending_unlink(executor, link);
		pending_finish(executor, pending, result);
		any_ended = true;
	}
	return any_ended;
}

bool pending_end_posted(struct executor *executor)
{
	uint32_t current = executor->contexts.current ? executor->contexts.current->id : 0;
	struct pending **link = &executor->pendings.first;
	bool any_ended = false;

	while (*link) {
		struct pending *pending = *link;

		if (pending->kind != PENDING_END || pending->request.flags & VGPU_FLAG_REPLY) {
			link = &pending->next;
			continue;
		}
		pending_unlink(executor, link);
		context_enter(executor, pending->context->id);
		pending_finish(executor, pending, CUDA_SUCCESS);
		any_ended = true;
	}
	context_enter(executor, current);
	return any_ended;
}

/* 0, or why a place could not be marked. */
static CUresult places_mark(struct executor *executor, struct pending *pending)
{
	context_enter(executor, pending->context->id);
	pending->is_settled = true;
	for (size_t i = 0; i < pending->place_count; i++) {
		struct place *place = &pending->places[i];
		CUresult result;

		if (place->mark || place->is_reached)
			continue;
		/* With a mark in it an idle stream would not be idle, which the program may ask about. */
		if (pending->place_count > 1 && !executor->captures.count &&
		    place_query(executor, pending, place) == CUDA_SUCCESS)
			continue;
		if (place->context)
			context_enter(executor, place->context->id);
		/* To the driver a green context's events are those of its primary context. */
		result = context_mark_take(executor, pending->context, place->stream, &place->mark);
		if (place->context)
			context_enter(executor, pending->context->id);
		if (result)
			return result;
	}
	return CUDA_SUCCESS;
}

void pending_settle(struct executor *executor)
{
	struct pending **link = &executor->pendings.first;

	if (executor->pendings.is_settled)
		return;
	executor->pendings.is_settled = true;
	while (*link) {
		struct pending *pending = *link;
		CUresult result = places_mark(executor, pending);

		if (result) {
			pending_unlink(executor, link);
			pending_finish(executor, pending, result);
			continue;
		}
		link = &pending->next;
	}
}

/* A mark behind what the event was recorded behind, whatever is recorded with it next. */
static CUresult event_mark(struct executor *executor, const struct pending *pending, CUevent *ret_mark)
{
	const struct driver *driver = &executor->driver;
	CUstream stream;
	/* Each wait has one of its own, for in one they would wait for each other. */
	CUresult result = driver->cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);

	if (result)
		return result;
	result = driver->cuStreamWaitEvent(stream, pending->event, 0);
	if (!result)
		result = context_mark_take(executor, pending->context, stream, ret_mark);
	driver->cuStreamDestroy_v2(stream);
	return result;
}

void pending_settle_event(struct executor *executor, uint32_t event_id)
{
	uint32_t current = executor->contexts.current ? executor->contexts.current->id : 0;

	for (struct pending *pending = executor->pendings.first; pending; pending = pending->next) {
		CUevent mark;

		if (pending->kind != PENDING_EVENT || pending->event_id != event_id)
			continue;
		context_enter(executor, pending->context->id);
		/* Where there is no mark to be had, the wait goes on until the next recording is over too. */
		if (!event_mark(executor, pending, &mark)) {
			pending->kind = PENDING_STREAM;
			/* In none of the program's streams. */
			pending->places[pending->place_count++] = (struct place){.mark = mark};
			executor->pendings.place_count++;
		}
		context_enter(executor, current);
	}
}

void pending_forget_event(struct executor *executor, uint32_t event_id)
{
	struct pending **link = &executor->pendings.first;

	while (*link) {
		struct pending *pending = *link;

		if (pending->kind != PENDING_EVENT || pending->event_id != event_id) {
			link = &pending->next;
			continue;
		}
		pending_unlink(executor, link);
		/* The real driver's wait goes on without the event; what it would return is not defined. */
		pending_finish(executor, pending, CUDA_ERROR_INVALID_HANDLE);
	}
}

/* A green context's default stream has come to its end. */
static void places_forget(struct pending *pending, const struct context *context)
{
	for (size_t i = 0; i < pending->place_count; i++) {
		if (pending->places[i].context != context)
			continue;
		pending->places[i].context = NULL;
		pending->places[i].is_reached = true;
	}
}

void pending_forget_context(struct executor *executor, struct context *context)
{
	struct pending **link = &executor->pendings.first;

	while (*link) {
		struct pending *pending = *link;

		if (pending->context != context) {
			places_forget(pending, context);
			link = &pending->next;
			continue;
		}
		pending_unlink(executor, link);
		/* Calls are made that were accepted: they wait as the end of the context does. */
		context_enter(executor, context->id);
		pending_finish(executor, pending,
			       pending->kind == PENDING_END ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED);
	}
}
