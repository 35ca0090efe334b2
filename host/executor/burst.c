/* SPDX-License-Identifier: Apache-2.0 */
#include "burst.h"

#include <time.h>

#include "context_work.h"
#include "executor.h"

#define RECORDS_FIRST 4u
/* The part of a record's remembered time that a burst of shorter ones takes away. */
#define RECORD_FADE 8u

uint64_t schedule_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct burst *burst_open(struct bursts *bursts)
{
	return &bursts->ring[bursts->next % BURSTS_MAX];
}

void burst_touch(struct bursts *bursts, struct context *context, CUstream stream)
{
	struct burst *burst = burst_open(bursts);

	if (!context)
		return;
	burst->work++;
	for (uint32_t i = burst->place_count; i-- > 0;) {
		if (burst->places[i].stream == stream && burst->places[i].context == context)
			return;
	}
	if (burst->place_count == BURST_STREAMS_MAX)
		return;
	burst->places[burst->place_count++] = (struct burst_place){.context = context, .stream = stream};
}

void burst_count(struct bursts *bursts, uint64_t now)
{
	struct burst *burst = burst_open(bursts);

	if (burst->records++ == 0)
		burst->began_ns = now;
	bursts->records++;
	if (!bursts->busy_since_ns) {
		bursts->busy_since_ns = now;
		bursts->progress_ns = now;
	}
}

bool burst_is_full(const struct bursts *bursts)
{
	const struct burst *burst = &bursts->ring[bursts->next % BURSTS_MAX];
	uint32_t wanted = bursts->records_wanted ? bursts->records_wanted : RECORDS_FIRST;

	return burst->records >= wanted || burst->place_count == BURST_STREAMS_MAX;
}

static void place_mark(struct executor *executor, struct burst_place *place)
{
	place->mark = NULL;
	if (!context_enter(executor, place->context->id))
		return;
	/* What fails here fails in the program's next call too; there is nothing to wait for. */
	if (context_mark_take(executor, place->context, place->stream, &place->mark))
		place->mark = NULL;
}

void burst_close(struct executor *executor, struct bursts *bursts)
{
	struct burst *burst = burst_open(bursts);

	if (burst->records == 0 || bursts_outstanding(bursts) >= BURSTS_MAX - 1)
		return;
	for (uint32_t i = 0; i < burst->place_count; i++)
		place_mark(executor, &burst->places[i]);
	bursts->next++;
	*burst_open(bursts) = (struct burst){.records = 0};
}

/* Into as many bursts as it takes. */
static void close_all_touch(struct executor *executor, struct bursts *bursts, uint64_t now, struct context *context,
			    CUstream stream)
{
	if (burst_open(bursts)->place_count == BURST_STREAMS_MAX) {
		burst_close(executor, bursts);
		burst_count(bursts, now);
	}
	burst_touch(bursts, context, stream);
}

void burst_close_all(struct executor *executor, struct bursts *bursts, uint64_t now)
{
	struct handle *handle;
	uint32_t index = 0;

	burst_count(bursts, now);
	while ((handle = handles_next(&executor->handles, VGPU_KIND_CONTEXT, &index))) {
		struct context *context = (struct context *)(uintptr_t)handle->cache;

		/* A mark there is behind all blocking streams, and before them: only where there is no place for each.
		 */
		if (context_legacy_has_work(context) ||
		    executor->handles.tables[VGPU_KIND_STREAM].count > BURSTS_MAX / 2 * BURST_STREAMS_MAX)
			close_all_touch(executor, bursts, now, context, NULL);
		if (context->left_stream)
			close_all_touch(executor, bursts, now, context, context->left_stream);
	}
	index = 0;
	while ((handle = handles_next(&executor->handles, VGPU_KIND_STREAM, &index)))
		close_all_touch(executor, bursts, now, context_find(executor, handle->context), handle->object);
	burst_close(executor, bursts);
}

static bool burst_is_over(struct executor *executor, struct burst *burst)
{
	for (uint32_t i = 0; i < burst->place_count; i++) {
		struct burst_place *place = &burst->places[i];
		CUresult result;

		if (!place->mark)
			continue;
		context_enter(executor, place->context->id);
		result = executor->driver.cuEventQuery(place->mark);
		if (result == CUDA_ERROR_NOT_READY)
			return false;
		context_mark_give(executor, place->context, place->mark);
		place->mark = NULL;
	}
	return true;
}

/* The next bursts are to take burst_ns; they grow slowly, for what comes may be longer than what was. */
static void size_adapt(struct bursts *bursts, const struct burst *burst, uint64_t now, uint64_t burst_ns)
{
	uint64_t began = burst->began_ns > bursts->progress_ns ? burst->began_ns : bursts->progress_ns;
	uint64_t each = (now > began ? now - began : 1) / burst->records + 1;
	/*
	 * Slowly down: among long kernels there are records that take no time (of events), and bursts that grew by
	 * them would have several times burst_ns of kernels in flight when a higher class begins.
	 */
	uint64_t remembered = bursts->record_ns - bursts->record_ns / RECORD_FADE;
	uint64_t wanted;
	uint32_t most = 2 * (bursts->records_wanted ? bursts->records_wanted : RECORDS_FIRST);

	bursts->record_ns = each > remembered ? each : remembered;
	wanted = burst_ns / bursts->record_ns;
	if (wanted > most)
		wanted = most;
	if (wanted > BURST_RECORDS_MAX)
		wanted = BURST_RECORDS_MAX;
	bursts->records_wanted = wanted ? (uint32_t)wanted : 1;
}

bool bursts_poll(struct executor *executor, struct bursts *bursts, uint64_t burst_ns)
{
	bool any_over = false;

	while (bursts->first != bursts->next) {
		struct burst *burst = &bursts->ring[bursts->first % BURSTS_MAX];
		uint64_t now;

		if (!burst_is_over(executor, burst))
			break;
		now = schedule_now();
		size_adapt(bursts, burst, now, burst_ns);
		bursts->records -= burst->records;
		bursts->progress_ns = now;
		bursts->first++;
		any_over = true;
		if (bursts_are_idle(bursts)) {
			bursts->gpu_ns += now - bursts->busy_since_ns;
			bursts->busy_since_ns = 0;
		}
	}
	return any_over;
}

static void place_forget(struct burst *burst, uint32_t index)
{
	burst->places[index] = burst->places[--burst->place_count];
}

void bursts_forget_stream(struct bursts *bursts, CUstream stream)
{
	struct burst *burst = burst_open(bursts);

	/* Marks that were recorded outlive their stream. */
	for (uint32_t i = burst->place_count; i-- > 0;) {
		if (stream && burst->places[i].stream == stream)
			place_forget(burst, i);
	}
}

void bursts_forget_context(struct executor *executor, struct bursts *bursts, struct context *context)
{
	for (uint32_t at = bursts->first; at != bursts->next + 1; at++) {
		struct burst *burst = &bursts->ring[at % BURSTS_MAX];

		for (uint32_t i = burst->place_count; i-- > 0;) {
			if (burst->places[i].context != context)
				continue;
			if (burst->places[i].mark)
				context_mark_give(executor, context, burst->places[i].mark);
			place_forget(burst, i);
		}
	}
}
