/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM that sends jobs, over any stream: its connection, the one job that it has
 * running, and the process that runs its jobs.  The next request is not taken
 * before the last is answered, so what a VM can queue is what fits into its stream.
 *
 * One thread, one libevent loop.
 */
#ifndef JOBS_CLIENT_H
#define JOBS_CLIENT_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "scan.h"

struct bufferevent;
struct event;
struct event_base;

struct jobs {
	struct event_base *base;
	const char *runner;   /* vgpu-job-runner */
	const char *library;  /* the folder of libcuda.so.1 */
	const char *mediator; /* its socket */
	unsigned job_seconds;
	unsigned clients_max;
	unsigned clients;
};

struct client {
	struct jobs *jobs;
	char name[64];
	struct bufferevent *wire;
	struct bufferevent *runner; /* NULL: none runs */
	pid_t runner_process;
	struct event *timer;
	struct scan scan;
	bool is_running;
	bool ends_after_answer;
	/* Called once, when the connection has ended; the client is freed then. May be NULL. */
	void (*ended)(void *owner);
	void *owner;
};

/* Takes the socket over. NULL: the limit is reached or there is no memory; the socket is closed. */
struct client *client_create(struct jobs *jobs, int socket, const char *name, void (*ended)(void *owner), void *owner);

void jobs_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
