/* SPDX-License-Identifier: Apache-2.0 */
/* Children of the mediator (child.h): starting one, and learning of its end. */
#ifndef MEDIATOR_PROCESS_H
#define MEDIATOR_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "child.h"

struct event;
struct mediator;
struct process;

/* Called once, when the process was reaped; it is in no list any more. 'status' as from waitpid. */
typedef void process_exited_handler(struct process *process, int status);

struct process {
	LIST_ENTRY(process) link;
	pid_t pid;
	process_exited_handler *exited;
	int handle;		    /* pidfd; -1: none */
	struct event *handle_ended; /* of one that is not our child */
};

struct process_plan {
	const char *path;
	char *const *arguments;
	int output;		      /* becomes standard output */
	int error;		      /* becomes standard error */
	int control;		      /* becomes VGPU_EXECUTOR_CONTROL_FD, or -1 */
	const char *const *variables; /* "NAME=value" of its environment, whatever ours is, up to NULL; NULL: none */
	bool outlives;		      /* it does not end with the mediator */
	const struct process_identity *identity; /* NULL: the executors' common one */
};

/* Fills in 'process', whose handler is set. 0, or -1 with errno; a failing exec is exit code 127 and a line of error.
 */
int process_start(struct mediator *mediator, const struct process_plan *plan, struct process *process);

/*
 * Takes over a process that an earlier mediator has started; 'handle' is its pidfd and becomes the
 * process's. 'exited' is called with status 0, which is not known. 0, or -1 with errno.
 */
int process_adopt(struct mediator *mediator, struct process *process, pid_t pid, int handle);

/* Closes what belongs to it, after it has exited. */
void process_release(struct process *process);

/* Reaps all that have ended; on SIGCHLD. */
void processes_reap(struct mediator *mediator);

/* Signals the process and its children. */
void process_signal(const struct process *process, int signal_number);

#endif
