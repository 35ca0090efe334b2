/* SPDX-License-Identifier: Apache-2.0 */
#include "channel_private.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admission.h"
#include "adoption.h"
#include "executor_group.h"
#include "executor_process.h"
#include "log.h"
#include "mediator.h"
#include "probe.h"
#include "scheduler.h"
#include "tenant.h"
#include "vgpu_schedule.h"
#include "worker.h"

static const char *const stage_names[] = {
	[CHANNEL_CLEANING] = "cleaning", [CHANNEL_WAITING] = "waiting",	  [CHANNEL_BEHIND] = "behind",
	[CHANNEL_PACED] = "paced",	 [CHANNEL_STARTING] = "starting", [CHANNEL_MOVING] = "moving",
	[CHANNEL_READY] = "ready",	 [CHANNEL_DEAD] = "dead",	  [CHANNEL_CLOSING] = "closing",
};

const char *channel_stage_name(enum channel_stage stage)
{
	return stage_names[stage];
}

unsigned channels_count(const struct mediator *mediator)
{
	const struct channel *channel;
	unsigned count = 0;

	LIST_FOREACH(channel, &mediator->channels, link)
	count++;
	return count;
}

static void channel_free(struct channel *channel)
{
	channel_descriptors_close(&channel->request);
	shares_forget(channel);
	counters_page_destroy(&channel->counters);
	if (channel->start_timer)
		event_free(channel->start_timer);
	free(channel);
}

static void channel_finish(struct channel *channel)
{
	log_debug("[CHANNEL] %s: closed", channel->label);
	LIST_REMOVE(channel, link);
	channel->request.handlers->closed(channel);
	channel_free(channel);
}

/* Reports the end of a channel that its owner did not ask for. The channel may be freed on return. */
void channel_die(struct channel *channel, enum vgpu_channel_error error, const char *text)
{
	bool was_ready = channel->stage == CHANNEL_READY;

	if (channel->stage == CHANNEL_DEAD || channel->stage == CHANNEL_CLOSING)
		return;
	/* What its tenant has used up says nothing of how programs start. */
	if (channel->stage == CHANNEL_STARTING && !channel->has_no_memory)
		channel_start_failure_note(channel, STARTS_READY, text);
	channel->stage = CHANNEL_DEAD;
	if (was_ready)
		adoption_channel_forget(channel);
	else if (!channel->has_no_memory)
		worker_failure_note(channel->mediator, channel->request.gpu);
	event_del(channel->start_timer);
	channel_descriptors_close(&channel->request);
	log_write_limited(&channel->request.log->events, LOG_LEVEL_WARNING, "[CHANNEL] %s: %s: %s", channel->label,
			  was_ready ? "lost" : "failed", text);
	if (was_ready)
		channel->request.handlers->lost(channel, error, text);
	else
		channel->request.handlers->failed(channel, error, text);
}

/* The scheduler's handler. The executor is ended, for nothing else ends a kernel. */
static void kernel_overdue(void *owner)
{
	struct channel *channel = owner;

	if (channel->stage != CHANNEL_READY)
		return;
	channel->fault_error = VGPU_ERROR_KERNEL_TIMEOUT;
	snprintf(channel->fault_text, sizeof(channel->fault_text), "a kernel ran longer than %llu ms",
		 (unsigned long long)channel->request.tenant->settings.limits.kernel_ms);
	tenant_fault_note(channel->request.tenant, channel->fault_text);
	executor_process_end(channel->executor);
	channel_die(channel, channel->fault_error, channel->fault_text);
}

struct scheduler_join channel_join(struct channel *channel)
{
	const volatile void *claims = (const volatile char *)channel->counters.values + VGPU_SCHEDULE_OFFSET;

	return (struct scheduler_join){
		.claims = claims,
		.devices = channel->counters.values->devices,
		.overdue = kernel_overdue,
		.owner = channel,
		/* Of this host, or of the worker that it was placed at. */
		.sees_all = !channel->is_placed || worker_owns_gpu(channel->request.gpu),
	};
}

static void channel_start_late(struct channel *channel)
{
	char text[VGPU_CONTROL_TEXT_BYTES];
	enum vgpu_channel_error error = channel_start(channel, text);

	if (error != VGPU_ERROR_NONE)
		channel_die(channel, error, text);
}

/* With zeroed memory. One that cannot begin to start is as if it had never been opened. */
static void channel_begin(struct channel *channel, int zeroing_error)
{
	char text[VGPU_CONTROL_TEXT_BYTES];
	enum vgpu_channel_error error =
		zeroing_error ? channel_refuse(text, VGPU_ERROR_REFUSED, "the channel's memory cannot be zeroed: %s",
					       strerror(zeroing_error))
			      : channel_start(channel, text);

	if (error == VGPU_ERROR_NONE)
		return;
	log_write_limited(&channel->request.log->events, LOG_LEVEL_WARNING, "[CHANNEL] %s: refused: %s", channel->label,
			  text);
	LIST_REMOVE(channel, link);
	channel->request.handlers->refused(channel, error, text);
	channel_free(channel);
}

static void channel_cleaned(void *owner, int error)
{
	struct channel *channel = owner;

	channel->is_cleaning = false;
	if (error && channel->stage != CHANNEL_CLEANING)
		log_write_limited(&channel->request.log->events, LOG_LEVEL_WARNING,
				  "[CHANNEL] %s: its memory could not be zeroed: %s", channel->label, strerror(error));
	if (channel->stage == CHANNEL_CLEANING)
		channel_begin(channel, error);
	else if (channel->stage == CHANNEL_CLOSING)
		channel_finish(channel);
	else if (channel->stage == CHANNEL_MOVING && error)
		channel_die(channel, VGPU_ERROR_REFUSED, "the channel's memory cannot be zeroed");
	else if (channel->stage == CHANNEL_MOVING)
		channel_start_elsewhere(channel);
	/* Else it took too long to be moved, and is dead. */
}

/*
 * Pages of a guest of Xen are zeroed by its device. A program's file is made for its channel and nobody is given it
 * afterwards: only what a relay may have left there is in the way of the next one.
 */
static bool memory_is_zeroed(const struct channel *channel)
{
	return channel->request.xen_domain || (channel->request.is_fresh && channel->stage != CHANNEL_MOVING);
}

void channel_clean(struct channel *channel)
{
	const struct channel_request *request = &channel->request;

	/* It may be under way, for a channel that is closed meanwhile: nobody else can have been given it since. */
	if (channel->is_cleaning)
		return;
	channel->is_cleaning = true;
	channel->cleaning = (struct cleaning){
		.whose = request->tenant,
		.memory = request->memory,
		.offset = request->offset,
		.bytes = memory_is_zeroed(channel) ? 0 : request->bytes,
		.done = channel_cleaned,
		.owner = channel,
	};
	cleaner_add(channel->mediator->cleaner, &channel->cleaning);
}

static void start_timer_fired(evutil_socket_t none, short what, void *argument)
{
	struct channel *channel = argument;

	(void)none;
	(void)what;
	/* Others' end is waited for as long as it usually takes, not for one that cannot be killed. */
	if (channel->stage == CHANNEL_BEHIND)
		channel->is_behind_nobody = true;
	if (channel->stage == CHANNEL_PACED || channel->stage == CHANNEL_BEHIND) {
		channel_start_late(channel);
		return;
	}
	if (channel->executor)
		executor_process_end(channel->executor);
	channel_die(channel, VGPU_ERROR_START_TIMEOUT,
		    channel->stage == CHANNEL_WAITING ? "the driver is still being probed"
						      : "the executor did not become ready in time");
}

enum vgpu_channel_error channel_open(struct mediator *mediator, const struct channel_request *request,
				     struct channel **ret_channel, char *ret_text)
{
	enum vgpu_channel_error error;
	struct channel_request taken = *request;
	struct channel *channel;

	if (mediator->stopping) {
		channel_descriptors_close(&taken);
		return channel_refuse(ret_text, VGPU_ERROR_NO_MEDIATOR, "the mediator is stopping");
	}
	if (probe_state(mediator->probe) == PROBE_FAILED && !pool_has_worker(mediator, request->pool_id)) {
		channel_descriptors_close(&taken);
		return channel_refuse(ret_text, VGPU_ERROR_NO_DRIVER, "no CUDA driver: %s",
				      probe_reason(mediator->probe));
	}
	error = admission_check(mediator, request, ret_text);
	if (error != VGPU_ERROR_NONE) {
		admission_refusal_note(mediator, request);
		channel_descriptors_close(&taken);
		return error;
	}
	channel = calloc(1, sizeof(*channel));
	if (!channel) {
		channel_descriptors_close(&taken);
		return channel_refuse(ret_text, VGPU_ERROR_NO_MEMORY, "the host is out of memory");
	}
	*channel = (struct channel){
		.mediator = mediator,
		.request = taken,
		.pool_id = request->pool_id,
		.stage = CHANNEL_CLEANING,
		.opened = ++mediator->channel_events,
		.counters = {.values = NULL, .file = -1},
	};
	snprintf(channel->label, sizeof(channel->label), "%s", request->label);
	channel->request.label = channel->label;
	channel->start_timer = evtimer_new(mediator->base, start_timer_fired, channel);
	if (!channel->start_timer) {
		error = channel_refuse(ret_text, VGPU_ERROR_NO_MEMORY, "the host is out of memory");
		goto fail;
	}
	if (counters_page_create(&channel->counters) < 0) {
		error = channel_refuse(ret_text, VGPU_ERROR_NO_MEMORY, "the host is out of memory: %s",
				       strerror(errno));
		goto fail;
	}
	LIST_INSERT_HEAD(&mediator->channels, channel, link);
	channel_clean(channel);
	*ret_channel = channel;
	return VGPU_ERROR_NONE;
fail:
	channel_free(channel);
	return error;
}

struct channel *channel_adopt(struct mediator *mediator, const struct channel_request *request,
			      const struct channel_adoption *adoption)
{
	const struct executor_descriptors executor = {
		.control = adoption->control, .log = adoption->log, .process = adoption->process_fd};
	struct channel *channel = calloc(1, sizeof(*channel));
	struct scheduler_join join;

	if (!channel)
		return NULL;
	*channel = (struct channel){
		.mediator = mediator,
		.request = *request,
		.pool_id = request->pool_id,
		.stage = CHANNEL_READY,
		.is_placed = adoption->is_placed,
		.is_telemetry = adoption->is_telemetry,
		.shown_gpu = adoption->shown_gpu,
		.counters = {.values = NULL, .file = -1},
	};
	snprintf(channel->label, sizeof(channel->label), "%s", request->label);
	snprintf(channel->gpu, sizeof(channel->gpu), "%s", adoption->gpu);
	channel->request.label = channel->label;
	channel->start_timer = evtimer_new(mediator->base, start_timer_fired, channel);
	if (!channel->start_timer || counters_page_adopt(&channel->counters, adoption->counters) < 0)
		goto fail;
	join = channel_join(channel);
	channel->schedule = scheduler_adopt(mediator, request->gpu, request->tenant, &join, &adoption->schedule);
	if (!channel->schedule)
		goto fail;
	if (executor_process_adopt(mediator, channel->label, &request->log->output, &channel_executor_handlers, channel,
				   adoption->process, &executor, &channel->executor) < 0)
		goto fail;
	executor_group_adopt(&request->tenant->group, adoption->process, executor.process);
	LIST_INSERT_HEAD(&mediator->channels, channel, link);
	return channel;
fail:
	/* The host is out of memory; its executor ends with the last descriptor of its control socket. */
	channel_schedule_leave(channel);
	channel_free(channel);
	return NULL;
}

void channel_close(struct channel *channel)
{
	if (channel->stage == CHANNEL_CLOSING)
		return;
	if (channel->stage == CHANNEL_READY)
		adoption_channel_forget(channel);
	channel->stage = CHANNEL_CLOSING;
	channel->closed = ++channel->mediator->channel_events;
	event_del(channel->start_timer);
	if (channel->executor)
		executor_process_end(channel->executor);
	else
		channel_clean(channel);
}

static struct channel *waiting_channel_find(const struct mediator *mediator)
{
	struct channel *channel;

	LIST_FOREACH(channel, &mediator->channels, link)
	{
		if (channel->stage == CHANNEL_WAITING)
			return channel;
	}
	return NULL;
}

static struct channel *unblocked_channel_find(const struct mediator *mediator)
{
	struct channel *channel;

	LIST_FOREACH(channel, &mediator->channels, link)
	{
		if (channel->stage == CHANNEL_BEHIND && !channel_is_behind(channel))
			return channel;
	}
	return NULL;
}

/* From the start each time, as below. */
void channels_behind_start(struct mediator *mediator)
{
	struct channel *channel;

	while ((channel = unblocked_channel_find(mediator)))
		channel_start_late(channel);
}

void channels_driver_known(struct mediator *mediator)
{
	struct channel *channel;

	/* From the start each time: a handler may close other channels too. None stays in WAITING. */
	while ((channel = waiting_channel_find(mediator)))
		channel_start_late(channel);
}
