/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running cuda-executor: its process, its control socket and what it writes for the log.
 */
#ifndef MEDIATOR_EXECUTOR_PROCESS_H
#define MEDIATOR_EXECUTOR_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "control_socket.h"

struct compute_cache_variables;
struct executor_process;
struct log_limit;
struct mediator;
struct process_identity;

struct executor_descriptors {
	int control;
	int log;     /* our end of its output (line_reader.h) */
	int process; /* pidfd */
};

struct executor_process_handlers {
	/* A message of the executor, with no other descriptors than agreed. The process stays valid. */
	void (*message)(void *owner, const struct control_message *message);
	/*
	 * The process was reaped, after its last message. It is freed when this returns. 'how' is a sentence. 'killed':
	 * it was, or may have been, and not by us.
	 */
	void (*ended)(void *owner, const char *how, bool killed);
};

/*
 * Starts the executor and sends it EXECUTOR_START (its descriptors stay the caller's); with a 'worker', which is
 * an address, it starts the relay to an executor there instead (worker.h), which waits for no worker that is not there
 * if it 'has_others'. 'gpu' is the UUID of the only GPU that it
 * is to see, or NULL; 'cache' may be NULL. 'label' says
 * whose it is in the log, and its lines count against 'limit', which must outlive it. 0, or -1 with errno, and no
 * handler is called.
 */
int executor_process_start(struct mediator *mediator, const char *label, struct log_limit *limit, const char *worker,
			   bool has_others, const char *gpu, const struct process_identity *identity,
			   const struct compute_cache_variables *cache, struct control_message *start,
			   const struct executor_process_handlers *handlers, void *owner,
			   struct executor_process **ret_process);

/*
 * Takes over an executor that an earlier mediator has started. The descriptors become the process's, also when
 * it fails: -1 with errno, and no handler is called.
 */
int executor_process_adopt(struct mediator *mediator, const char *label, struct log_limit *limit,
			   const struct executor_process_handlers *handlers, void *owner, pid_t pid,
			   const struct executor_descriptors *descriptors, struct executor_process **ret_process);

/* They stay the process's. */
struct executor_descriptors executor_process_descriptors(const struct executor_process *process);

/* Asks it to end by closing the control socket, and kills it when it takes too long. May be repeated. */
void executor_process_end(struct executor_process *process);

/* Ends one of which it is known that it would take too long. The end is reported as that of one that was asked to. */
void executor_process_kill(struct executor_process *process, const char *why);

/* Sends it a message, without descriptors; one that does not read is ended. */
void executor_process_send(struct executor_process *process, enum vgpu_control_type type,
			   struct control_message *message);

pid_t executor_process_pid(const struct executor_process *process);

/* The program by configuration, else beside the mediator. NULL when there is none; free the text. */
char *executor_path_find(const struct mediator *mediator);

#endif
