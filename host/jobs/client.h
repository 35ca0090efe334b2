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
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "scan.h"

struct event;
struct event_base;
struct log_limit;
struct peer_stream;

/* Of a VM whose number is not known; its jobs are those of the user of vgpu-jobs. */
#define JOBS_NO_VM 0u

struct jobs {
	struct event_base *base;
	const char *runner;   /* vgpu-job-runner */
	const char *library;  /* the folder of libcuda.so.1 */
	const char *mediator; /* its socket */
	unsigned job_seconds;
	unsigned idle_seconds; /* 0: for ever */
	unsigned clients_max;
	unsigned clients_of_vm_max;
	unsigned clients;
	LIST_HEAD(, client) list;
};

struct client {
	LIST_ENTRY(client) link;
	struct jobs *jobs;
	char name[64];
	uint32_t vm_id;
	bool may_name_vm; /* its first line may be "VM n": a carrier of others' jobs that is trusted with that */
	bool may_idle;
	bool is_known;
	unsigned group_count; /* connections of the same VM or address, this one too */
	struct peer_stream *wire;
	struct peer_stream *runner; /* NULL: none runs */
	pid_t runner_process;	    /* 0: none, or it was reaped and its number may be another's */
	struct event *timer;
	struct event *idle_timer; /* while no job runs */
	struct scan scan;
	unsigned garbage_lines; /* since the last request */
	struct log_limit *log;
	bool is_running;
	bool ends_after_answer;
	bool has_said_all; /* nothing more comes */
	/* Called once, when the connection has ended; the client is freed then. May be NULL. */
	void (*ended)(void *owner);
	void *owner;
};

struct client_plan {
	const char *name;
	uint32_t vm_id;
	bool may_name_vm;
	bool may_idle; /* it is no VM that has connected: it may be there without jobs, and is not counted with a VM's
			*/
	bool is_known; /* the host says who it is, not an address that may be anybody's */
	void (*ended)(void *owner);
	void *owner;
};

/* Takes the socket over. NULL: a limit is reached or there is no memory; the socket is closed. */
struct client *client_create(struct jobs *jobs, int socket, const struct client_plan *plan);

/* Of any of them: nobody signals it any more. */
void client_process_reaped(const struct jobs *jobs, pid_t process);

#endif
