/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control group for each tenant's executors, in one that is the mediator's to manage (the setting executor-cgroup),
 * so that what they take of the host's memory and processes is limited and known. It is made for the first executor,
 * and removed when the last one has ended. Where groups cannot be made, the log says so once and executors run without.
 * Loop's thread only.
 */
#ifndef MEDIATOR_EXECUTOR_GROUP_H
#define MEDIATOR_EXECUTOR_GROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct configuration;
struct executor_groups;
struct mediator;
struct tenant;
struct tenant_settings;

/* 0, or -1 with a line in the log: the setting is no group. */
int executor_groups_check(const struct configuration *configuration);

/* Takes the group of the configuration; NULL: none is set, or it cannot be used, which the log says. */
struct executor_groups *executor_groups_open(const struct configuration *configuration);
void executor_groups_close(struct executor_groups *groups); /* NULL is fine */

/* Removes what an earlier mediator has left of tenants that are gone. */
void executor_groups_clean(const struct mediator *mediator);

/* What a tenant has that nothing is set for. */
void executor_group_defaults(struct tenant_settings *settings);

/* A file by which a process enters the tenant's group, made if need be (process.h); the caller closes it. -1: none. */
int executor_group_entrance(struct tenant *tenant);

/* The process, an executor that an earlier mediator has started and that 'handle' is a pidfd of, is to be in it. */
void executor_group_adopt(struct tenant *tenant, pid_t pid, int handle);

/* Tells the kernel the tenant's limits, if it has a group. */
void executor_group_limits_apply(struct tenant *tenant);

/* No executor is left. */
void executor_group_remove(struct tenant *tenant);

/* What its executors have of the host's memory, in bytes; 0 without a group. */
uint64_t executor_group_memory(const struct tenant *tenant);

/* An executor was killed, not by us: was it for want of memory in its group? Each such kill is told once. */
bool executor_group_kill_take(struct tenant *tenant);

#endif
