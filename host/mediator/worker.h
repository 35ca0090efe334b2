/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which channels go to a worker (host/worker) instead of to an executor of this
 * host.  The mediator treats both alike: vgpu-relay takes the place of
 * cuda-executor, with the same messages, and one descriptor more.
 */
#ifndef MEDIATOR_WORKER_H
#define MEDIATOR_WORKER_H

#include <stdint.h>

struct control_message;
struct mediator;

/* The address of the pool's worker, or NULL: its executors run here. Valid until the settings are read again. */
const char *worker_of_pool(const struct mediator *mediator, uint32_t pool_id);

/*
 * The number by which schedulers know a worker's GPUs, which its programs see all of: the same for all pools that have
 * that worker, and none of this host's. And the pool whose policy it has; '\0': the number is no worker's.
 */
unsigned worker_gpu(const struct mediator *mediator, uint32_t pool_id);
char worker_gpu_pool(unsigned gpu);

/*
 * Adds the credentials for the link to the start of a relay, as the last descriptor. Only the mediator
 * reads their file: executors and relays run as a user that cannot. 0, or -1 with errno; close
 * *ret_file afterwards.
 */
int worker_credentials_add(const struct mediator *mediator, struct control_message *start, int *ret_file);

/* The program by configuration, else beside the mediator. NULL when there is none; free the text. */
char *worker_relay_find(const struct mediator *mediator);

#endif
