/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "closer.h"
#include "control_socket.h"
#include "job.h"
#include "peer_log.h"
#include "peer_stream.h"
#include "room.h"
#include "starter.h"

/* Of the runner: the guest library takes it over (guest/transport/local.c). */
#define CONNECTION	3
#define CONNECTION_TEXT "VGPU_CONNECTION=3"

/*
 * What the largest request and its answer take when they are parsed, twice over, and 320 MiB for the guest library's
 * table of handles, of which hardly any is touched. Memory of the GPU is not among it.
 */
#ifdef __SANITIZE_ADDRESS__
#define RUNNER_MEMORY_BYTES RLIM_INFINITY /* the sanitizer reserves more than any machine has */
#else
#define RUNNER_MEMORY_BYTES (768u << 20)
#endif

#define VM_LINE_BYTES_MAX 16
#define AHEAD_BYTES_MAX	  (1u << 20)
#define ANSWERS_BYTES_MAX (1u << 20) /* that a VM has not read yet, before its next job */
#define ANSWER_BYTES_MAX  (64u << 20)
#define GARBAGE_LINES_MAX 64 /* one after the other: then its connection ends */
#define TEXT_TOO_BIG	  "{\"error\":\"the request is too long or too deep\"}\n"
#define TEXT_NO_OBJECT	  "{\"error\":\"the request is no JSON object\"}\n"
#define TEXT_RUNNER_LOST  "{\"error\":\"the job's process ended before its answer\"}\n"
#define TEXT_RUNNER_NOT_THERE \
	"{\"error\":\"the job cannot be run: there is no mediator, or the host is out of resources\"}\n"

static void requests_take(struct client *client);

static void runner_end(struct client *client)
{
	if (!client->runner)
		return;
	peer_stream_destroy(client->runner);
	client->runner = NULL;
	if (client->runner_process > 0)
		kill(client->runner_process, SIGKILL);
	client->runner_process = 0;
	event_del(client->timer);
}

void client_process_reaped(const struct jobs *jobs, pid_t process)
{
	struct client *client;

	LIST_FOREACH(client, &jobs->list, link)
	{
		if (client->runner_process == process)
			client->runner_process = 0;
	}
}

static void client_end(struct client *client)
{
	void (*ended)(void *owner) = client->ended;
	void *owner = client->owner;

	log_write_limited(client->log, LOG_LEVEL_INFO, "%s: the connection ended", client->name);
	runner_end(client);
	peer_stream_destroy(client->wire);
	event_free(client->timer);
	event_free(client->idle_timer);
	scan_reset(&client->scan);
	room_leave(client);
	free(client);
	if (ended)
		ended(owner);
}

/* From the last answer on, whatever arrives: a request has to be whole by then, and an answer read. */
static void idle_begin(struct client *client)
{
	const struct timeval patience = {.tv_sec = client->jobs->idle_seconds};

	if (!client->may_idle && client->jobs->idle_seconds)
		event_add(client->idle_timer, &patience);
}

static void idle_timed_out(evutil_socket_t none, short what, void *argument)
{
	struct client *client = argument;

	(void)none;
	(void)what;
	log_write_limited(client->log, LOG_LEVEL_INFO, "%s: no job for %u s", client->name, client->jobs->idle_seconds);
	client_end(client);
}

static void answer_send(struct client *client, const char *text)
{
	/* What is no job keeps no connection. */
	if (client->is_running) {
		idle_begin(client);
		room_renew(client);
	}
	client->is_running = false;
	event_del(client->timer);
	evbuffer_add(peer_stream_output(client->wire), text, strlen(text));
	log_write_limited(client->log, LOG_LEVEL_INFO, "Sent response to %s", client->name);
}

static void runner_readable(void *argument)
{
	struct client *client = argument;
	struct evbuffer *input = peer_stream_input(client->runner);
	struct evbuffer_ptr end = evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_LF);

	if (end.pos < 0) {
		if (evbuffer_get_length(input) <= ANSWER_BYTES_MAX)
			return;
		runner_end(client);
		if (client->is_running)
			answer_send(client, TEXT_RUNNER_LOST);
	} else if (client->is_running && end.pos > 0) {
		char first = RUNNER_LAST_ANSWER;

		evbuffer_remove(input, &first, 1);
		evbuffer_remove_buffer(input, peer_stream_output(client->wire), (size_t)end.pos);
		if (first != RUNNER_ANSWER)
			runner_end(client);
		answer_send(client, "");
	} else {
		/* It speaks out of turn. */
		runner_end(client);
		if (client->is_running)
			answer_send(client, TEXT_RUNNER_LOST);
	}
	requests_take(client);
}

static void runner_ended(void *argument, bool is_eof)
{
	struct client *client = argument;

	(void)is_eof;
	runner_end(client);
	if (!client->is_running)
		return;
	answer_send(client, TEXT_RUNNER_LOST);
	requests_take(client);
}

static const struct peer_stream_handlers runner_handlers = {.readable = runner_readable, .ended = runner_ended};

/*
 * A connection to the mediator that says whose job it is for, or -1. It is made here, for here nothing of a guest is
 * looked at: the runner, which a guest's request may take over, gets this one and can make no other.
 */
static int mediator_greet(const struct client *client)
{
	struct control_message message = {.client_hello = {.job_vm_id = client->vm_id}};
	int connection = control_connect_now(client->jobs->mediator);

	snprintf(message.client_hello.process_name, sizeof(message.client_hello.process_name), "%s", client->name);
	if (connection >= 0 && control_send(connection, VGPU_CONTROL_CLIENT_HELLO, &message) == 0)
		return connection;
	log_write_limited(client->log, LOG_LEVEL_INFO, "%s: no mediator at %s: %s", client->name,
			  client->jobs->mediator, strerror(errno));
	if (connection >= 0)
		close(connection);
	return -1;
}

/* Of a runner. */
enum runner_descriptor { RUNNER_SOCKET, RUNNER_CONNECTION, RUNNER_DESCRIPTORS };

static void runner_exec(void *argument, const int descriptors[STARTER_DESCRIPTORS_MAX])
{
	const struct jobs *jobs = argument;
	int socket = descriptors[RUNNER_SOCKET];
	int connection = descriptors[RUNNER_CONNECTION];
	char *arguments[] = {strdup(jobs->runner), NULL};
	char library[512];
	char *environment[] = {"LANG=C.UTF-8", "VGPU_TRANSPORT=local", CONNECTION_TEXT, library, NULL};
	const struct rlimit no_core = {0, 0};
	const struct rlimit files = {256, 256};
	const struct rlimit memory = {RUNNER_MEMORY_BYTES, RUNNER_MEMORY_BYTES};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	snprintf(library, sizeof(library), "LD_LIBRARY_PATH=%s", jobs->library);
	if (dup2(socket, STDIN_FILENO) >= 0 && dup2(socket, STDOUT_FILENO) >= 0 && dup2(connection, CONNECTION) >= 0 &&
	    fcntl(CONNECTION, F_SETFD, 0) == 0 && setrlimit(RLIMIT_CORE, &no_core) == 0 &&
	    setrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_DATA, &memory) == 0 &&
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
		execve(jobs->runner, arguments, environment);
	dprintf(STDERR_FILENO, "[vgpu-jobs] cannot start %s: %s\n", jobs->runner, strerror(errno));
	_exit(127);
}

static bool runner_start(struct client *client)
{
	int descriptors[RUNNER_DESCRIPTORS];
	int sockets[2];

	if (client->runner)
		return true;
	descriptors[RUNNER_CONNECTION] = mediator_greet(client);
	if (descriptors[RUNNER_CONNECTION] < 0)
		return false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0) {
		close(descriptors[RUNNER_CONNECTION]);
		return false;
	}
	descriptors[RUNNER_SOCKET] = sockets[1];
	client->runner_process = starter_start(runner_exec, client->jobs, descriptors, RUNNER_DESCRIPTORS);
	close(sockets[1]);
	close(descriptors[RUNNER_CONNECTION]);
	if (client->runner_process > 0 && fcntl(sockets[0], F_SETFL, O_NONBLOCK) == 0)
		client->runner = peer_stream_create(client->jobs->base, sockets[0], SIZE_MAX, &runner_handlers, client);
	if (!client->runner) {
		close(sockets[0]);
		return false;
	}
	peer_stream_read(client->runner, true);
	return true;
}

static void job_timed_out(evutil_socket_t none, short what, void *argument)
{
	struct client *client = argument;

	(void)none;
	(void)what;
	log_write_limited(client->log, LOG_LEVEL_INFO, "%s: the job takes longer than %u s: ended", client->name,
			  client->jobs->job_seconds);
	runner_end(client);
	answer_send(client, TEXT_RUNNER_LOST);
	requests_take(client);
}

static void request_run(struct client *client)
{
	const struct timeval patience = {.tv_sec = client->jobs->job_seconds};

	log_write_limited(client->log, LOG_LEVEL_INFO, "Received GPU request from %s", client->name);
	client->is_running = true;
	client->garbage_lines = 0;
	event_del(client->idle_timer);
	client->scan.request[client->scan.bytes++] = '\n';
	if (!runner_start(client)) {
		runner_end(client);
		answer_send(client, TEXT_RUNNER_NOT_THERE);
	} else {
		evbuffer_add(peer_stream_output(client->runner), client->scan.request, client->scan.bytes);
		event_add(client->timer, &patience);
	}
	scan_reset(&client->scan);
}

/* The first line of a carrier may say whose jobs follow. False: more of it has to come. */
static bool vm_line_take(struct client *client, struct evbuffer *input)
{
	char start[3];
	char *line;

	if (!client->may_name_vm || evbuffer_get_length(input) < sizeof(start))
		return !client->may_name_vm;
	evbuffer_copyout(input, start, sizeof(start));
	if (memcmp(start, "VM ", sizeof(start)) == 0) {
		line = evbuffer_readln(input, NULL, EVBUFFER_EOL_LF);
		if (!line && evbuffer_get_length(input) < VM_LINE_BYTES_MAX)
			return false;
		if (line)
			client->vm_id = (uint32_t)strtoul(line + sizeof(start), NULL, 10);
		free(line);
		client->log = peer_log_find(client->vm_id, client->name);
	}
	client->may_name_vm = false;
	return true;
}

/* Whole requests, one at a time. */
static void requests_take(struct client *client)
{
	struct evbuffer *input = peer_stream_input(client->wire);
	struct evbuffer *output = peer_stream_output(client->wire);

	if (!vm_line_take(client, input))
		return;
	while (!client->is_running && !client->ends_after_answer && evbuffer_get_length(input) > 0 &&
	       evbuffer_get_length(output) <= ANSWERS_BYTES_MAX) {
		size_t bytes = evbuffer_get_contiguous_space(input);
		size_t taken = 0;
		enum scan_result result = scan_bytes(
			&client->scan, (const char *)evbuffer_pullup(input, (ev_ssize_t)bytes), bytes, &taken);

		evbuffer_drain(input, taken);
		if (result == SCAN_WHOLE) {
			request_run(client);
		} else if (result == SCAN_NONE) {
			log_write_limited(client->log, LOG_LEVEL_INFO, "%s: sent a line that is no request",
					  client->name);
			answer_send(client, TEXT_NO_OBJECT);
			client->ends_after_answer = ++client->garbage_lines == GARBAGE_LINES_MAX;
		} else if (result == SCAN_TOO_BIG) {
			log_write_limited(client->log, LOG_LEVEL_INFO,
					  "%s: sent a request that is too long or too deep", client->name);
			answer_send(client, TEXT_TOO_BIG);
			client->ends_after_answer = true;
		}
	}
	peer_stream_read(client->wire, !client->is_running && !client->has_said_all);
}

static void wire_readable(void *argument)
{
	requests_take(argument);
}

/* All answers have left. */
static void wire_written(void *argument)
{
	struct client *client = argument;

	if (client->ends_after_answer && !client->is_running)
		client_end(client);
	else
		requests_take(client);
}

static void wire_ended(void *argument, bool is_eof)
{
	struct client *client = argument;

	/* Who has said all that it wants may still wait for the answer. */
	if (is_eof && (client->is_running || evbuffer_get_length(peer_stream_output(client->wire)) > 0)) {
		client->ends_after_answer = true;
		client->has_said_all = true;
		return;
	}
	client_end(client);
}

static const struct peer_stream_handlers wire_handlers = {
	.readable = wire_readable, .written = wire_written, .ended = wire_ended};

struct client *client_create(struct jobs *jobs, int socket, const struct client_plan *plan)
{
	struct client *client = calloc(1, sizeof(*client));
	struct client *victim;

	if (!client || !room_find(jobs, plan, &victim))
		goto failed;
	client->jobs = jobs;
	client->ended = plan->ended;
	client->owner = plan->owner;
	client->vm_id = plan->vm_id;
	client->may_name_vm = plan->may_name_vm;
	client->may_idle = plan->may_idle;
	client->is_known = plan->is_known;
	client->log = peer_log_find(plan->vm_id, plan->name);
	snprintf(client->name, sizeof(client->name), "%s", plan->name);
	client->timer = evtimer_new(jobs->base, job_timed_out, client);
	client->idle_timer = evtimer_new(jobs->base, idle_timed_out, client);
	/* While a job runs, no more than this is read ahead. */
	client->wire = peer_stream_create(jobs->base, socket, AHEAD_BYTES_MAX, &wire_handlers, client);
	if (!client->timer || !client->idle_timer || !client->wire)
		goto failed;
	peer_stream_read(client->wire, true);
	if (victim) {
		log_write_limited(client->log, LOG_LEVEL_INFO, "%s: has had no job for longest, and makes room for %s",
				  victim->name, client->name);
		client_end(victim);
	}
	room_enter(client);
	idle_begin(client);
	return client;
failed:
	log_write_limited(peer_log_find(plan->vm_id, plan->name), LOG_LEVEL_INFO,
			  "%s: refused: %u connections are there", plan->name, jobs->clients);
	if (client && client->timer)
		event_free(client->timer);
	if (client && client->idle_timer)
		event_free(client->idle_timer);
	if (client && client->wire)
		peer_stream_destroy(client->wire);
	else
		closer_hang_up(socket);
	free(client);
	return NULL;
}
