/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "capture.h"
#include "driver.h"

#define IDLE_SECONDS 5
/* A kernel's frames live on the engine's own stacks; this one holds driver code and host callbacks. */
#define THREAD_STACK_BYTES ((size_t)1 << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t completion = PTHREAD_COND_INITIALIZER;
static uint64_t last_id;

static void stream_destroy(struct object *object)
{
	struct stream *stream = (struct stream *)object;

	frontier_free(stream->frontier);
	pthread_mutex_lock(&lock);
	if (stream->previous)
		stream->previous->next = stream->next;
	else
		stream->context->streams = stream->next;
	if (stream->next)
		stream->next->previous = stream->previous;
	pthread_mutex_unlock(&lock);
	pthread_cond_destroy(&stream->wake);
	object_release(&stream->context->object);
	if (stream->green)
		object_release(&stream->green->object);
	free(stream);
}

CUresult stream_create(struct context *context, unsigned flags, int priority, struct stream **ret_stream)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	pthread_condattr_t attributes;

	if (!stream)
		return CUDA_ERROR_OUT_OF_MEMORY;
	object_prepare(&stream->object, OBJECT_STREAM, context, stream_destroy);
	if (context->base) {
		object_retain(&context->object);
		stream->green = context;
		context = context->base;
	}
	stream->context = context;
	stream->flags = flags;
	stream->priority = priority;
	stream->attributes.synchronization = CU_SYNC_POLICY_AUTO;
	stream->blocking = !(flags & CU_STREAM_NON_BLOCKING);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&stream->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	object_retain(&context->object);
	pthread_mutex_lock(&lock);
	stream->id = ++last_id;
	stream->next = context->streams;
	if (stream->next)
		stream->next->previous = stream;
	context->streams = stream;
	pthread_mutex_unlock(&lock);
	*ret_stream = stream;
	return CUDA_SUCCESS;
}

void stream_close(struct stream *stream)
{
	pthread_mutex_lock(&lock);
	stream->closed = true;
	pthread_cond_signal(&stream->wake);
	pthread_mutex_unlock(&lock);
}

void stream_release(struct stream *stream)
{
	if (stream)
		object_release(&stream->object);
}

bool stream_reached(const struct stream *stream, uint64_t sequence)
{
	return stream->completed >= sequence;
}

/* Under the lock. */
static bool work_ready(const struct work *work)
{
	for (size_t index = 0; index < work->dependency_count; index++)
		if (!stream_reached(work->dependencies[index].stream, work->dependencies[index].sequence))
			return false;
	return true;
}

/* The context's gate, and the implicit synchronisation between the default stream and blocking ones.  Under the lock.
 */
static bool depend_implicitly(struct stream *stream, struct work *work)
{
	struct context *context = stream->context;

	if (context->gate && !work_depend(work, context->gate, context->gate->submitted))
		return false;
	if (stream->green && stream->green->gate &&
	    !work_depend(work, stream->green->gate, stream->green->gate->submitted))
		return false;
	if (!stream->blocking)
		return true;
	if (stream != context->legacy)
		return !context->legacy || work_depend(work, context->legacy, context->legacy->submitted);
	for (struct stream *other = context->streams; other; other = other->next)
		/* A stream whose last reference is gone has no work and is about to leave the list. */
		if (other != stream && other->blocking && !stream_reached(other, other->submitted) &&
		    !work_depend(work, other, other->submitted))
			return false;
	return true;
}

/* Runs work that is ready, without the lock, and tells those who wait.  Called and returns with the lock. */
static void work_run(struct stream *stream, struct work *work)
{
	struct context *context = stream->context;
	CUresult result;

	stream->running = true;
	stream->running_ticket = work->ticket;
	pthread_mutex_unlock(&lock);
	if (work->run && (work->always || !context->error)) {
		result = work->run(work, stream);
		if (result)
			context_fail(context, result);
	}
	pthread_mutex_lock(&lock);
	stream->running = false;
	stream->completed = work->sequence;
	pthread_cond_broadcast(&completion);
	if (stream->first || stream->closed)
		pthread_cond_signal(&stream->wake);
}

/* Takes the first work, which is ready, and runs it.  Called and returns with the lock. */
static void first_run(struct stream *stream)
{
	struct work *work = stream->first;

	stream->first = work->next;
	if (!stream->first)
		stream->last = NULL;
	work_run(stream, work);
	pthread_mutex_unlock(&lock);
	work_discard(work);
	pthread_mutex_lock(&lock);
}

/*
 * Brings the stream forward towards 'sequence': by running its next work in the
 * calling thread, when nobody does, which saves a change of threads; else by
 * waiting for anything to complete.  Called and returns with the lock.
 */
static void stream_advance(struct stream *stream, uint64_t sequence)
{
	struct work *work = stream->first;

	if (work && !stream->running && work->sequence <= sequence && work_ready(work))
		first_run(stream);
	else
		pthread_cond_wait(&completion, &lock);
}

/* Waits for work to do.  False: the thread is to end.  Under the lock. */
static bool thread_idle(struct stream *stream)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_SECONDS;
	while (!stream->first || stream->running) {
		if (stream->running)
			pthread_cond_wait(&stream->wake, &lock);
		else if (stream->closed || pthread_cond_timedwait(&stream->wake, &lock, &until) == ETIMEDOUT)
			if (!stream->first && !stream->running)
				return false;
	}
	return true;
}

static void *thread_main(void *argument)
{
	struct stream *stream = argument;

	pthread_mutex_lock(&lock);
	while (thread_idle(stream)) {
		if (work_ready(stream->first))
			first_run(stream);
		else
			pthread_cond_wait(&completion, &lock);
	}
	stream->working = false;
	pthread_mutex_unlock(&lock);
	stream_release(stream);
	return NULL;
}

/* Under the lock. */
static bool thread_start(struct stream *stream)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	if (stream->working)
		return true;
	if (pthread_attr_init(&attributes))
		return false;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
	object_retain(&stream->object);
	error = pthread_create(&thread, &attributes, thread_main, stream);
	pthread_attr_destroy(&attributes);
	if (error) {
		stream->object.references--; /* never the last: the caller has one */
		return false;
	}
	stream->working = true;
	return true;
}

/* Under the lock. */
static CUresult work_append(struct stream *stream, struct work *work)
{
	if (!thread_start(stream))
		return CUDA_ERROR_OUT_OF_MEMORY;
	work->next = NULL;
	work->sequence = ++stream->submitted;
	if (stream->last)
		stream->last->next = work;
	else
		stream->first = work;
	stream->last = work;
	work->ticket = ++stream->context->work_count;
	pthread_cond_signal(&stream->wake);
	return CUDA_SUCCESS;
}

CUresult stream_submit(struct stream *stream, struct work *work, uint64_t *ret_sequence)
{
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

	if (capture_submit(stream, work, &result)) {
		if (result)
			work_discard(work);
		return result;
	}
	pthread_mutex_lock(&lock);
	if (depend_implicitly(stream, work))
		result = work_append(stream, work);
	if (!result && ret_sequence)
		*ret_sequence = stream->submitted;
	pthread_mutex_unlock(&lock);
	if (result)
		work_discard(work);
	return result;
}

CUresult stream_perform(struct stream *stream, struct work *work)
{
	CUresult result = CUDA_SUCCESS;
	bool here = false;
	uint64_t sequence;

	if (capture_refuse(stream, &result)) {
		work_discard(work);
		return result;
	}
	pthread_mutex_lock(&lock);
	if (!depend_implicitly(stream, work)) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
	} else if (!stream->first && !stream->running && work_ready(work)) {
		here = true;
		work->sequence = ++stream->submitted;
		work->ticket = ++stream->context->work_count;
		work_run(stream, work);
	} else {
		result = work_append(stream, work);
		sequence = stream->submitted;
		while (!result && !stream_reached(stream, sequence))
			stream_advance(stream, sequence);
	}
	pthread_mutex_unlock(&lock);
	if (here || result)
		work_discard(work);
	return result ? result : context_check(stream->context);
}

bool stream_idle(struct stream *stream)
{
	bool idle = stream_reached(stream, stream->submitted);
	struct stream *other;

	if (!idle || stream != stream->context->legacy)
		return idle;
	pthread_mutex_lock(&lock);
	for (other = stream->context->streams; other && idle; other = other->next)
		idle = !other->blocking || stream_reached(other, other->submitted);
	pthread_mutex_unlock(&lock);
	return idle;
}

void stream_wait(struct stream *stream, uint64_t sequence)
{
	if (stream_reached(stream, sequence))
		return;
	pthread_mutex_lock(&lock);
	while (!stream_reached(stream, sequence))
		stream_advance(stream, sequence);
	pthread_mutex_unlock(&lock);
}

/* The ticket of the oldest work of a stream that is not done; UINT64_MAX when all is.  Under the lock. */
static uint64_t oldest_ticket(const struct stream *stream)
{
	if (stream->running)
		return stream->running_ticket;
	return stream->first ? stream->first->ticket : UINT64_MAX;
}

static struct context *base_of(struct context *context)
{
	return context->base ? context->base : context;
}

/* All streams of a primary context, those of its green ones too, or those of a green one. */
static bool stream_is_in(const struct stream *stream, const struct context *context)
{
	return !context->base || stream->green == context;
}

void stream_wait_context(struct context *context)
{
	struct stream *stream;
	uint64_t goal;

	pthread_mutex_lock(&lock);
	goal = base_of(context)->work_count;
	stream = base_of(context)->streams;
	while (stream) {
		if (!stream_is_in(stream, context) || oldest_ticket(stream) > goal) {
			stream = stream->next;
			continue;
		}
		/* It leaves the list with its last reference, and the list may be another one afterwards. */
		object_retain(&stream->object);
		stream_advance(stream, UINT64_MAX);
		pthread_mutex_unlock(&lock);
		stream_release(stream);
		pthread_mutex_lock(&lock);
		stream = base_of(context)->streams;
	}
	pthread_mutex_unlock(&lock);
}

bool work_depend_context(struct work *work, struct context *context)
{
	bool is_done = true;

	pthread_mutex_lock(&lock);
	for (struct stream *stream = base_of(context)->streams; stream && is_done; stream = stream->next)
		/* One whose last reference is gone has no work. */
		if (stream_is_in(stream, context) && !stream_reached(stream, stream->submitted))
			is_done = work_depend(work, stream, stream->submitted);
	pthread_mutex_unlock(&lock);
	return is_done;
}

CUresult stream_gate_context(struct context *context, struct work *work)
{
	struct stream *gate, *former;
	CUresult result = stream_create(context, CU_STREAM_NON_BLOCKING, 0, &gate);

	if (result) {
		work_discard(work);
		return result;
	}
	/* It waits for the former gate, as all work does. */
	result = stream_submit(gate, work, NULL);
	stream_close(gate);
	if (result) {
		stream_release(gate);
		return result;
	}
	pthread_mutex_lock(&lock);
	former = context->gate;
	context->gate = gate;
	pthread_mutex_unlock(&lock);
	stream_release(former);
	return CUDA_SUCCESS;
}

void stream_gate_release(struct context *context)
{
	struct stream *gate;

	pthread_mutex_lock(&lock);
	gate = context->gate;
	context->gate = NULL;
	pthread_mutex_unlock(&lock);
	stream_release(gate);
}

struct stream_attributes stream_attributes_read(struct stream *stream)
{
	struct stream_attributes attributes;

	pthread_mutex_lock(&lock);
	attributes = stream->attributes;
	pthread_mutex_unlock(&lock);
	return attributes;
}

void stream_attributes_write(struct stream *stream, const struct stream_attributes *attributes)
{
	pthread_mutex_lock(&lock);
	stream->attributes = *attributes;
	pthread_mutex_unlock(&lock);
}

struct stream *stream_of_context(struct context *context)
{
	struct stream *stream;

	pthread_mutex_lock(&lock);
	stream = context->legacy;
	if (stream)
		object_retain(&stream->object);
	pthread_mutex_unlock(&lock);
	return stream;
}

struct stream *stream_take_legacy(struct context *context)
{
	struct stream *stream;

	pthread_mutex_lock(&lock);
	stream = context->legacy;
	context->legacy = NULL;
	pthread_mutex_unlock(&lock);
	return stream;
}

void stream_close_owned(struct context *context)
{
	pthread_mutex_lock(&lock);
	for (struct stream *stream = base_of(context)->streams; stream; stream = stream->next) {
		if (!stream_is_in(stream, context))
			continue;
		stream->closed = true;
		pthread_cond_signal(&stream->wake);
	}
	pthread_mutex_unlock(&lock);
	object_retire_owned(context, OBJECT_STREAM);
}
