/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main process starts the executors, for it alone may become other users: those of the connections' processes,
 * which read what comes over the network, and a user of its own for each tenant (user_range.h). What a connection's
 * process asks for is an executor on its control socket, nothing else. Each tenant's are in a control group of its own,
 * where there are such (executor_group.h).
 */
#ifndef WORKER_EXECUTORS_H
#define WORKER_EXECUTORS_H

#include "child.h"
#include "compute_cache.h"
#include "executor_group.h"
#include "user_range.h"

struct executors {
	const char *program;
	struct process_identity identity; /* of connections, and of executors that have no user of their tenant's */
	struct user_range users;
	struct compute_cache cache;
	const char *groups_setting;	   /* NULL: there are no groups */
	struct executor_groups *groups;	   /* NULL: none, or not opened yet */
	struct executor_group_limits host; /* of each tenant's group */
};

/* The cache's hook (compute_cache.h). */
int executors_cache_remove(struct compute_cache *cache, const char *path);

#endif
