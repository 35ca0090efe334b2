/* SPDX-License-Identifier: Apache-2.0 */
/* How a channel's executor is started: when, where, and where else if a worker does not serve it. */
#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "channel_private.h"
#include "closer.h"
#include "executor_group.h"
#include "executor_user.h"
#include "log.h"
#include "mediator.h"
#include "pace.h"
#include "probe.h"
#include "scheduler.h"
#include "tenant.h"
#include "tenant_cache.h"
#include "worker.h"

#define BEHIND_SECONDS 3 /* after the time in which executors are made to end */

static void descriptor_close(int *descriptor)
{
	if (*descriptor >= 0)
		close(*descriptor);
	*descriptor = -1;
}

void channel_descriptors_close(struct channel_request *request)
{
	descriptor_close(&request->doorbell);
	descriptor_close(&request->interrupt);
	/* It may have come back to life at its other end. */
	closer_close(request->pass_socket);
	request->pass_socket = -1;
}

/* What is kept until it is certain that the executor need not be started again. */
void channel_start_descriptors_close(struct channel *channel)
{
	channel_descriptors_close(&channel->request);
	if (channel->mediator->keeper < 0)
		descriptor_close(&channel->counters.file);
}

enum vgpu_channel_error channel_refuse(char *text, enum vgpu_channel_error error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, VGPU_CONTROL_TEXT_BYTES, format, arguments);
	va_end(arguments);
	return error;
}

/* Adds the descriptors of the executor's schedule to the message. 0, or -1 with errno. */
static int schedule_join(struct channel *channel, struct control_message *message)
{
	struct scheduler_join join = channel_join(channel);
	struct scheduler_descriptors descriptors;

	channel->schedule = scheduler_join(channel->mediator, channel->request.gpu, channel->request.tenant, &join);
	if (!channel->schedule)
		return -1;
	descriptors = scheduler_descriptors_of(channel->schedule);
	message->executor_start.has_schedule = 1;
	message->fds[message->fd_count++] = descriptors.permit;
	message->fds[message->fd_count++] = descriptors.tenant;
	message->fds[message->fd_count++] = descriptors.wake_other;
	message->fds[message->fd_count++] = descriptors.bell;
	return 0;
}

void channel_schedule_leave(struct channel *channel)
{
	if (channel->schedule)
		scheduler_leave(channel->schedule);
	channel->schedule = NULL;
}

/* 'has_others': if the worker is not there, it is not waited for. 0, or -1 with errno. */
static int executor_start(struct channel *channel, bool has_others)
{
	struct channel_request *request = &channel->request;
	char worker_pool;
	const char *worker = worker_of_gpu(channel->mediator, request->gpu, &worker_pool);
	struct process_identity identity;
	struct compute_cache_variables cache;
	char cache_name[COMPUTE_CACHE_NAME_BYTES];
	bool has_cache;
	int error = 0;
	struct control_message message = {
		.executor_start =
			{
				.channel_offset = request->offset,
				.channel_bytes = request->bytes,
				.vm_id = request->vm_id,
				.channel = request->index,
				.pool_id = request->pool_id,
				.has_pass_socket = request->pass_socket >= 0,
				.can_share = 1,
				.allows_pageable = channel->mediator->configuration.allow_pageable_access,
				.tells_process = !worker,
				.tells_driver = !worker,
				.is_lasting = tenant_is_lasting(request->tenant),
				.has_area = request->has_area,
				.xen_domain = request->xen_domain,
				.xen_frame = request->xen_frame,
				.xen_grants = request->xen_grants,
				.process_namespace = request->process_namespace,
			},
		.fds = {request->memory, request->doorbell, request->interrupt, channel->counters.file,
			request->pass_socket},
		.fd_count = request->pass_socket >= 0 ? 5 : 4,
	};

	channel->is_placed = channel->gpu[0] != '\0' || worker;
	if (executor_user_take(request->tenant, &identity) < 0)
		return -1;
	snprintf(message.executor_start.tenant, sizeof(message.executor_start.tenant), "%s", request->tenant->name);
	/* A worker knows its own driver. */
	if (!worker)
		snprintf(message.executor_start.driver_library, sizeof(message.executor_start.driver_library), "%s",
			 probe_driver_library(channel->mediator->probe));
	has_cache = !worker && tenant_cache_name(request->tenant, cache_name) &&
		    compute_cache_prepare(&channel->mediator->compute_cache, cache_name, &identity, &cache);
	if (schedule_join(channel, &message) < 0)
		return -1;
	identity.control_group = executor_group_entrance(&request->tenant->group);
	if (executor_process_start(channel->mediator, channel->label, &request->log->output, worker, has_others,
				   channel->gpu[0] ? channel->gpu : NULL, &identity, has_cache ? &cache : NULL,
				   &message, &channel_executor_handlers, channel, &channel->executor) < 0)
		error = errno;
	if (identity.control_group >= 0)
		close(identity.control_group);
	if (error) {
		channel_schedule_leave(channel);
		errno = error;
		return -1;
	}
	scheduler_descriptors_sent(channel->schedule);
	channel->stage = CHANNEL_STARTING;
	channel->has_driver_result = false;
	request->tenant->usage.starts++;
	channel->mediator->counters.starts[channel->pool_id - 'A']++;
	if (!worker)
		channel_start_descriptors_close(channel);
	return 0;
}

void channel_start_failure_note(struct channel *channel, enum starts_step step, const char *why)
{
	struct mediator *mediator = channel->mediator;

	starts_failure_note(&mediator->starts, channel->pool_id, step, why);
	/* Is it the driver, which was there when the mediator last looked? */
	if (!worker_owns_gpu(channel->request.gpu))
		probe_verify(mediator->probe);
}

void channel_driver_result_take(struct channel *channel, const struct vgpu_control_driver_result *result)
{
	char text[VGPU_CONTROL_TEXT_BYTES];
	char name[sizeof(result->name)];

	/* One that says it again is no second one that did not start. */
	if (channel->has_driver_result)
		return;
	channel->has_driver_result = true;
	if (!result->result) {
		starts_success_note(&channel->mediator->starts, channel->pool_id, STARTS_DRIVER);
		return;
	}
	log_text_copy(name, sizeof(name), result->name, sizeof(result->name));
	snprintf(text, sizeof(text), "cuInit: %s (%u)", name, result->result);
	log_write_limited(&channel->request.log->events, LOG_LEVEL_WARNING, "[CHANNEL] %s: %s", channel->label, text);
	channel_start_failure_note(channel, STARTS_DRIVER, text);
}

static enum vgpu_channel_error error_from_errno(int error)
{
	return error == ENOENT || error == EACCES ? VGPU_ERROR_NO_DRIVER : VGPU_ERROR_NO_MEMORY;
}

static enum vgpu_channel_error channel_start_placed(struct channel *channel, char *ret_text)
{
	struct channel_placement placement;
	enum vgpu_channel_error error;

	if (!placement_choose(channel, &placement))
		return channel_refuse(ret_text, VGPU_ERROR_REFUSED,
				      "pool %c has no GPU: each is another pool's, or faulty", (char)channel->pool_id);
	for (;;) {
		channel->request.gpu = placement.gpu;
		snprintf(channel->gpu, sizeof(channel->gpu), "%s", placement.uuid);
		if (executor_start(channel, placement.has_others) == 0)
			return VGPU_ERROR_NONE;
		/* Without credentials for workers, say. */
		error = error_from_errno(errno);
		channel_refuse(ret_text, error, "the executor cannot be started: %s", strerror(errno));
		channel_start_failure_note(channel, STARTS_READY, ret_text);
		if (!placement.has_others || channel->tried_count == CHANNEL_TRIED_MAX)
			return error;
		channel->tried[channel->tried_count++] = placement.gpu;
		if (!placement_choose(channel, &placement))
			return VGPU_ERROR_REFUSED;
	}
}

/* Its relay has ended: from the beginning, with all that the relay may have touched made anew. */
void channel_start_elsewhere(struct channel *channel)
{
	char text[VGPU_CONTROL_TEXT_BYTES];
	enum vgpu_channel_error error = VGPU_ERROR_NO_MEMORY;

	snprintf(text, sizeof(text), "the host is out of memory");
	if (counters_page_create(&channel->counters) == 0)
		error = channel_start_placed(channel, text);
	if (error != VGPU_ERROR_NONE)
		channel_die(channel, error, text);
}

/*
 * A worker does not serve the program, which has not begun: it starts elsewhere when the relay has ended, if its pool
 * has anything else, and within the time that a start may take. Not where its tenant has used up its memory there.
 */
bool channel_move(struct channel *channel, const char *why)
{
	struct channel_placement elsewhere;

	if (channel->stage != CHANNEL_STARTING || channel->has_no_memory || !worker_owns_gpu(channel->request.gpu) ||
	    channel->tried_count == CHANNEL_TRIED_MAX)
		return false;
	worker_failure_note(channel->mediator, channel->request.gpu);
	channel->tried[channel->tried_count++] = channel->request.gpu;
	if (!placement_choose(channel, &elsewhere))
		return false;
	log_write_limited(&channel->request.log->events, LOG_LEVEL_WARNING, "[CHANNEL] %s: %s; it is started elsewhere",
			  channel->label, why);
	channel->stage = CHANNEL_MOVING;
	channel->fault_error = VGPU_ERROR_NONE;
	if (channel->executor)
		executor_process_end(channel->executor);
	return true;
}

/* Has a program of its tenant that was closed before this one was opened still an executor? */
bool channel_is_behind(const struct channel *channel)
{
	const struct channel *other;

	if (channel->is_behind_nobody)
		return false;
	LIST_FOREACH(other, &channel->mediator->channels, link)
	{
		if (other->request.tenant == channel->request.tenant && other->stage == CHANNEL_CLOSING &&
		    other->executor && other->closed < channel->opened)
			return true;
	}
	return false;
}

/* Starts the executor, or sees to it that it is started later; if it cannot be, why. */
enum vgpu_channel_error channel_start(struct channel *channel, char *ret_text)
{
	/* What this host's driver says does not matter where a worker has the GPU. */
	enum probe_state driver = pool_has_worker(channel->mediator, channel->pool_id)
					  ? PROBE_READY
					  : probe_state(channel->mediator->probe);
	struct timeval delay = {.tv_sec = channel->mediator->configuration.executor_start_seconds};
	bool is_behind = channel_is_behind(channel);
	unsigned pause = 0;

	if (driver == PROBE_FAILED)
		return channel_refuse(ret_text, VGPU_ERROR_NO_DRIVER, "no CUDA driver: %.*s",
				      VGPU_CONTROL_TEXT_BYTES - 32, probe_reason(channel->mediator->probe));
	if (driver == PROBE_READY && !is_behind && channel->request.pace)
		pause = pace_take(channel->request.pace);
	if (is_behind)
		delay.tv_sec = channel->mediator->configuration.executor_stop_seconds + BEHIND_SECONDS;
	if (pause > 0)
		delay = (struct timeval){.tv_sec = pause / 1000000, .tv_usec = pause % 1000000};
	if (event_add(channel->start_timer, &delay) < 0)
		return channel_refuse(ret_text, VGPU_ERROR_NO_MEMORY, "the host is out of memory");
	if (pause > 0)
		channel->stage = CHANNEL_PACED;
	else if (driver != PROBE_READY)
		channel->stage = CHANNEL_WAITING;
	else if (is_behind)
		channel->stage = CHANNEL_BEHIND;
	else
		return channel_start_placed(channel, ret_text);
	return VGPU_ERROR_NONE;
}
