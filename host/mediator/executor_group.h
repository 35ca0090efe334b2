/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control group for each tenant's executors, in one that is the daemon's (mediator, vgpu-worker) to manage (the
 * setting executor-cgroup), so that what they take of the host's memory and processes is limited and known. It is made
 * for the first executor, and removed when the last one has ended. Where groups cannot be made, the log says so once
 * and executors run without. One thread only; nothing waits.
 */
#ifndef MEDIATOR_EXECUTOR_GROUP_H
#define MEDIATOR_EXECUTOR_GROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "compute_cache.h"

#define EXECUTOR_GROUP_KILL_TEXT \
	"the executor was killed, for its tenant's executors have used up their memory of the host"

struct executor_groups;

struct executor_group_limits {
	uint64_t memory_bytes; /* 0: no limit */
	uint64_t tasks;	       /* threads; 0: no limit */
};

/* A tenant's; the functions below keep what is in it. */
struct executor_group {
	struct executor_groups *groups; /* NULL: there are none */
	const char *label;		/* in the log; the owner's */
	char name[COMPUTE_CACHE_NAME_BYTES];
	struct executor_group_limits limits;
	int folder;	     /* -1: it is not made */
	uint64_t kills_told; /* how far the group's own count was followed */
};

/* 0, or -1 with a line in the log: the setting is no group. NULL is none, and fine. */
int executor_groups_check(const char *setting);

/*
 * Takes the group of the setting. "own" is the one above that of the daemon, which is called 'leaf', or made so. NULL:
 * none is set, or it cannot be used, which the log says.
 */
struct executor_groups *executor_groups_open(const char *setting, const char *leaf);
void executor_groups_close(struct executor_groups *groups); /* NULL is fine */

/* Removes what an earlier daemon has left of tenants that are gone. NULL is fine. */
void executor_groups_clean(const struct executor_groups *groups);

/* What a tenant has that nothing is set for: half of the host's memory, 4096 threads. */
struct executor_group_limits executor_group_limits_default(void);

/* The name is one of compute_cache_name_make(), which no other tenant has. Nothing is made yet. */
void executor_group_init(struct executor_group *group, struct executor_groups *groups, const char *name,
			 const char *label);

/* From now on, also of what is there already. */
void executor_group_limits_set(struct executor_group *group, const struct executor_group_limits *limits);

/* A file by which a process enters the group, made if need be (process.h); the caller closes it. -1: none. */
int executor_group_entrance(struct executor_group *group);

/* The process, an executor that an earlier daemon has started and that 'handle' is a pidfd of, is to be in it. */
void executor_group_adopt(struct executor_group *group, pid_t pid, int handle);

/* No executor is left. */
void executor_group_remove(struct executor_group *group);

/* What its executors have of the host's memory, in bytes; 0 without a group. */
uint64_t executor_group_memory(const struct executor_group *group);

/* An executor was killed, not by us: was it for want of memory in its group? Each such kill is told once. */
bool executor_group_kill_take(struct executor_group *group);

#endif
