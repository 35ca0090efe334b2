/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main process starts the executors, for it alone may become other users: those of the connections' processes,
 * which read what comes over the network, and a user of its own for each tenant (user_range.h). What a connection's
 * process asks for is an executor on its control socket, nothing else.
 */
#ifndef WORKER_EXECUTORS_H
#define WORKER_EXECUTORS_H

#include "child.h"
#include "compute_cache.h"
#include "user_range.h"

struct executors {
	const char *program;
	struct process_identity identity; /* of connections, and of executors that have no user of their tenant's */
	struct user_range users;
	struct compute_cache cache;
};

/* The cache's hook (compute_cache.h). */
int executors_cache_remove(struct compute_cache *cache, const char *path);

#endif
