/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which channels go to a worker (host/worker) instead of to an executor of this
 * host.  The mediator treats both alike: vgpu-relay takes the place of
 * cuda-executor, with the same messages, and one descriptor more.
 */
#ifndef MEDIATOR_WORKER_H
#define MEDIATOR_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct control_message;
struct mediator;

/*
 * The addresses of the pool's workers, one after the other: *at is 0 for the first. NULL: there are no more. Valid
 * until the settings are read again.
 */
const char *worker_of_pool(const struct mediator *mediator, uint32_t pool_id, size_t *at);
bool pool_has_worker(const struct mediator *mediator, uint32_t pool_id);

/*
 * The number by which schedulers know a worker's first GPU; those of its others follow (worker_watch.h). Its programs
 * see all of them. It is the same for all pools that have that worker, after a restart too, and none of this host's.
 * And the worker of any of its GPUs' numbers, NULL where it is none's, with the pool whose policy it has: the first one
 * that has it.
 */
unsigned worker_gpu(const char *worker);
bool worker_owns_gpu(unsigned gpu);
const char *worker_of_gpu(const struct mediator *mediator, unsigned gpu, char *ret_pool);

/* A worker whose programs did not start is avoided for a while, where its pool has others. */
#define WORKER_FAILURES_MAX 16
struct worker_failure {
	unsigned gpu; /* worker_gpu() */
	time_t until; /* CLOCK_MONOTONIC, seconds */
};

/* A program did not start on that GPU, which may be none of a worker's. */
void worker_failure_note(struct mediator *mediator, unsigned gpu);
/* It is there again. */
void worker_failure_forget(struct mediator *mediator, unsigned gpu);
/* Either, or it cannot be reached now (worker_watch.h). */
bool worker_has_failed(const struct mediator *mediator, unsigned gpu);

/* The file of the credentials for the link to workers. */
const char *worker_credentials_path(const struct mediator *mediator);

/*
 * Opens that file, or adds it to the start of a relay, as the last descriptor. Only the
 * mediator can: executors and relays run as a user that cannot read it. The file, or 0 and close *ret_file afterwards;
 * -1 with errno.
 */
int worker_credentials_open(const struct mediator *mediator);
int worker_credentials_add(const struct mediator *mediator, struct control_message *start, int *ret_file);

/* The program by configuration, else beside the mediator. NULL when there is none; free the text. */
char *worker_relay_find(const struct mediator *mediator);

#endif
