/* SPDX-License-Identifier: Apache-2.0 */
#include "executor_process.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "closer.h"
#include "compute_cache.h"
#include "installation.h"
#include "line_reader.h"
#include "log.h"
#include "mediator.h"
#include "process.h"
#include "worker.h"

#define LABEL_BYTES		96
#define STUCK_WARNING_SECONDS	10
#define MESSAGES_PER_WAKEUP_MAX 16

/* One that was taken over may ask all the time; beyond what honest ones do it waits, and the loop is not its own. */
#define MESSAGES_PER_PERIOD_MAX 128
#define PERIOD_MICROSECONDS	10000u

struct executor_process {
	struct process process;
	struct mediator *mediator;
	const struct executor_process_handlers *handlers;
	void *owner;
	int control; /* -1: closed, the executor is to end */
	struct event *readable;
	struct event *stop_timer;
	struct event *pause; /* while it is not listened to */
	uint64_t period_began_us;
	unsigned period_messages;
	bool is_killed;
	struct line_reader reader;
	struct log_limit *log_limit;
	char label[LABEL_BYTES];
	char last_line[VGPU_CONTROL_TEXT_BYTES];
};

char *executor_path_find(const struct mediator *mediator)
{
	static const char *const places[] = {"cuda-executor", "../executor/cuda-executor",
					     "../libexec/vgpu/cuda-executor", NULL};

	if (mediator->configuration.executor)
		return strdup(mediator->configuration.executor);
	return installation_file_find(places);
}

static void executor_free(struct executor_process *executor)
{
	if (executor->readable)
		event_free(executor->readable);
	if (executor->stop_timer)
		event_free(executor->stop_timer);
	if (executor->pause)
		event_free(executor->pause);
	closer_close(executor->control);
	line_reader_close(&executor->reader);
	process_release(&executor->process);
	free(executor);
}

/* Descriptors come with what the driver can share by one, and with nothing else. */
static bool descriptors_are_agreed(const struct control_message *message)
{
	return message->fd_count == 0 || (message->header.type == VGPU_CONTROL_SHARE_PUBLISH &&
					  vgpu_share_has_descriptor(message->share.kind) && message->fd_count == 1);
}

/* Takes what the executor has sent; ends when the socket is empty, closed by the peer or by us. */
static void messages_take(struct executor_process *executor, unsigned count_max)
{
	struct control_message message;

	while (executor->control >= 0 && count_max-- > 0) {
		int received = control_receive(executor->control, &message);

		if (received < 0 && errno == EAGAIN)
			return;
		if (received < 0)
			log_warning("[EXECUTOR] %s: broken control message: %s", executor->label, strerror(errno));
		if (received <= 0) {
			executor_process_end(executor);
			return;
		}
		if (descriptors_are_agreed(&message)) {
			executor->handlers->message(executor->owner, &message);
		} else {
			log_warning("[EXECUTOR] %s: sent descriptors that nobody asked for", executor->label);
			executor_process_end(executor);
		}
		control_message_release(&message);
		executor->period_messages++;
	}
}

/* After too many messages the next ones are left in the socket for the rest of the period. */
static void period_look(struct executor_process *executor)
{
	const struct timeval period = {.tv_usec = PERIOD_MICROSECONDS};
	struct timespec clock;
	uint64_t now_us;

	clock_gettime(CLOCK_MONOTONIC, &clock);
	now_us = (uint64_t)clock.tv_sec * 1000000u + (uint64_t)clock.tv_nsec / 1000;
	if (now_us - executor->period_began_us >= PERIOD_MICROSECONDS) {
		executor->period_began_us = now_us;
		executor->period_messages = 0;
	}
	if (executor->period_messages < MESSAGES_PER_PERIOD_MAX || executor->control < 0)
		return;
	event_del(executor->readable);
	event_add(executor->pause, &period);
}

static void control_readable(evutil_socket_t socket, short what, void *argument)
{
	(void)socket;
	(void)what;
	messages_take(argument, MESSAGES_PER_WAKEUP_MAX);
	period_look(argument);
}

static void pause_over(evutil_socket_t none, short what, void *argument)
{
	struct executor_process *executor = argument;

	(void)none;
	(void)what;
	if (executor->control >= 0)
		event_add(executor->readable, NULL);
}

static void stop_timed_out(evutil_socket_t none, short what, void *argument)
{
	struct executor_process *executor = argument;
	struct timeval again = {.tv_sec = STUCK_WARNING_SECONDS};

	(void)none;
	(void)what;
	log_warning("[EXECUTOR] %s: %s", executor->label,
		    executor->is_killed ? "still there after SIGKILL" : "does not end by itself: killed");
	executor->is_killed = true;
	process_signal(&executor->process, SIGKILL);
	event_add(executor->stop_timer, &again);
}

void executor_process_end(struct executor_process *executor)
{
	struct timeval grace = {.tv_sec = executor->mediator->configuration.executor_stop_seconds};

	if (executor->control < 0)
		return;
	event_del(executor->readable);
	closer_hang_up(executor->control);
	executor->control = -1;
	event_add(executor->stop_timer, &grace);
}

void executor_process_kill(struct executor_process *executor, const char *why)
{
	executor_process_end(executor);
	if (executor->is_killed)
		return;
	log_write_limited(executor->log_limit, LOG_LEVEL_WARNING, "[EXECUTOR] %s: %s: killed", executor->label, why);
	executor->is_killed = true;
	process_signal(&executor->process, SIGKILL);
}

static void line_log(void *owner, const char *line)
{
	struct executor_process *executor = owner;

	log_text_copy(executor->last_line, sizeof(executor->last_line), line, strlen(line));
	log_write_limited(executor->log_limit, LOG_LEVEL_INFO, "[EXECUTOR] %s: %s", executor->label, line);
}

static void executor_exited(struct process *process, int status)
{
	struct executor_process *executor = (struct executor_process *)process;
	char how[VGPU_CONTROL_TEXT_BYTES];
	char text[2 * VGPU_CONTROL_TEXT_BYTES + 32];
	bool killed;

	line_reader_finish(&executor->reader);
	messages_take(executor, MESSAGES_PER_WAKEUP_MAX);
	process_status_describe(status, how, sizeof(how));
	/* A failed check says why before it ends; after another signal the last line is about something else. */
	if (executor->last_line[0] &&
	    ((WIFEXITED(status) && status != 0) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)))
		snprintf(text, sizeof(text), "the executor %s: %s", how, executor->last_line);
	else
		snprintf(text, sizeof(text), "the executor %s", how);
	/* Of one that was adopted the status is not known. */
	killed =
		!executor->is_killed && (process->handle_ended || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
	executor->handlers->ended(executor->owner, text, killed);
	executor_free(executor);
}

_Static_assert(offsetof(struct executor_process, process) == 0, "executor_exited casts");

static int child_start(struct executor_process *executor, const char *worker, bool has_others, const char *gpu,
		       const struct process_identity *identity, const struct compute_cache_variables *cache,
		       int child_control)
{
	const struct configuration *configuration = &executor->mediator->configuration;
	char *path = worker ? worker_relay_find(executor->mediator) : executor_path_find(executor->mediator);
	char address[256];
	char silence[16];
	char gpu_variable[128];
	const char *variables[4] = {NULL};
	size_t variable_count = 0;
	char pack[] = "pack";
	char once[] = "once";
	char lanes[16];
	/* Of a relay; an executor has none. */
	char *arguments[7] = {path, worker ? address : NULL, silence};
	size_t count = 3;
	struct process_plan plan = {
		.path = path,
		.arguments = arguments,
		.control = child_control,
		.variables = variables,
		.outlives = executor->mediator->keeper >= 0,
		.identity = identity,
	};
	int error;
	int log_end;

	if (!path)
		return -1;
	if (line_reader_open(executor->mediator, &executor->reader, &log_end) < 0) {
		free(path);
		return -1;
	}
	snprintf(address, sizeof(address), "%s", worker ? worker : "");
	snprintf(silence, sizeof(silence), "%u", configuration->worker_silence_ms);
	snprintf(lanes, sizeof(lanes), "lanes=%u", configuration->worker_lanes);
	if (configuration->worker_pack)
		arguments[count++] = pack;
	if (has_others)
		arguments[count++] = once;
	if (configuration->worker_lanes != UINT_MAX)
		arguments[count++] = lanes;
	snprintf(gpu_variable, sizeof(gpu_variable), "CUDA_VISIBLE_DEVICES=%s", gpu ? gpu : "");
	if (gpu)
		variables[variable_count++] = gpu_variable;
	if (cache) {
		variables[variable_count++] = cache->path;
		variables[variable_count++] = cache->bytes;
	}
	plan.output = log_end;
	plan.error = log_end;
	error = process_start(executor->mediator, &plan, &executor->process) < 0 ? errno : 0;
	close(log_end);
	free(path);
	errno = error;
	return error ? -1 : 0;
}

int executor_process_start(struct mediator *mediator, const char *label, struct log_limit *limit, const char *worker,
			   bool has_others, const char *gpu, const struct process_identity *identity,
			   const struct compute_cache_variables *cache, struct control_message *start,
			   const struct executor_process_handlers *handlers, void *owner,
			   struct executor_process **ret_process)
{
	struct executor_process *executor = calloc(1, sizeof(*executor));
	int sockets[2] = {-1, -1};
	int credentials = -1;
	int error;

	if (!executor)
		return -1;
	*executor = (struct executor_process){
		.process = {.exited = executor_exited, .handle = -1},
		.mediator = mediator,
		.handlers = handlers,
		.owner = owner,
		.control = -1,
		.reader = {.output = -1, .line = line_log, .owner = executor},
		.log_limit = limit,
	};
	snprintf(executor->label, sizeof(executor->label), "%s", label);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		goto fail;
	executor->control = sockets[0];
	/* Our end only: how the executor waits is its own affair. */
	if (fcntl(sockets[0], F_SETFL, O_NONBLOCK) < 0)
		goto fail;
	executor->readable = event_new(mediator->base, sockets[0], EV_READ | EV_PERSIST, control_readable, executor);
	executor->stop_timer = evtimer_new(mediator->base, stop_timed_out, executor);
	executor->pause = evtimer_new(mediator->base, pause_over, executor);
	errno = ENOMEM;
	if (!executor->readable || !executor->stop_timer || !executor->pause || event_add(executor->readable, NULL) < 0)
		goto fail;
	if (worker && worker_credentials_add(mediator, start, &credentials) < 0)
		goto fail;
	/* Queued before the child is there to read it. */
	if (control_send(sockets[0], VGPU_CONTROL_EXECUTOR_START, start) < 0)
		goto fail;
	if (child_start(executor, worker, has_others, gpu, identity, cache, sockets[1]) < 0)
		goto fail;
	close(sockets[1]);
	if (credentials >= 0)
		close(credentials);
	*ret_process = executor;
	return 0;
fail:
	error = errno;
	if (sockets[1] >= 0)
		close(sockets[1]);
	if (credentials >= 0)
		close(credentials);
	executor_free(executor);
	errno = error;
	return -1;
}

int executor_process_adopt(struct mediator *mediator, const char *label, struct log_limit *limit,
			   const struct executor_process_handlers *handlers, void *owner, pid_t pid,
			   const struct executor_descriptors *descriptors, struct executor_process **ret_process)
{
	struct executor_process *executor = calloc(1, sizeof(*executor));

	if (!executor) {
		closer_close(descriptors->control);
		closer_close(descriptors->log);
		close(descriptors->process);
		errno = ENOMEM;
		return -1;
	}
	*executor = (struct executor_process){
		.process = {.exited = executor_exited, .handle = -1},
		.mediator = mediator,
		.handlers = handlers,
		.owner = owner,
		.control = descriptors->control,
		.reader = {.output = -1, .line = line_log, .owner = executor},
		.log_limit = limit,
	};
	snprintf(executor->label, sizeof(executor->label), "%s", label);
	executor->readable =
		event_new(mediator->base, executor->control, EV_READ | EV_PERSIST, control_readable, executor);
	executor->stop_timer = evtimer_new(mediator->base, stop_timed_out, executor);
	executor->pause = evtimer_new(mediator->base, pause_over, executor);
	errno = ENOMEM;
	if (line_reader_adopt(mediator, &executor->reader, descriptors->log) < 0) {
		close(descriptors->process);
		goto fail;
	}
	if (!executor->readable || !executor->stop_timer || !executor->pause ||
	    event_add(executor->readable, NULL) < 0) {
		close(descriptors->process);
		goto fail;
	}
	if (process_adopt(mediator, &executor->process, pid, descriptors->process) < 0)
		goto fail;
	*ret_process = executor;
	return 0;
fail:
	executor_free(executor);
	errno = ENOMEM;
	return -1;
}

struct executor_descriptors executor_process_descriptors(const struct executor_process *executor)
{
	return (struct executor_descriptors){
		.control = executor->control, .log = executor->reader.output, .process = executor->process.handle};
}

void executor_process_send(struct executor_process *executor, enum vgpu_control_type type,
			   struct control_message *message)
{
	if (executor->control < 0)
		return;
	if (control_send(executor->control, type, message) < 0) {
		log_warning("[EXECUTOR] %s: does not take messages: %s", executor->label, strerror(errno));
		executor_process_end(executor);
	}
}

pid_t executor_process_pid(const struct executor_process *executor)
{
	return executor->process.pid;
}
