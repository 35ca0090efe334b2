/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a tenant's executors keep the code that the driver has compiled: a folder for each tenant in the configured
 * directory, which only the mediator writes to. A folder belongs to its tenant's user (executor_user.h) and stays that
 * user's when the tenant is gone, so whoever gets the user later must not find it; in it nothing is trusted.
 * Loop's thread only: a few calls on a local file system each; what may be long is done by another process.
 */
#ifndef MEDIATOR_COMPUTE_CACHE_H
#define MEDIATOR_COMPUTE_CACHE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

struct configuration;
struct mediator;
struct process_identity;
struct tenant;

/* "NAME=value", for the executor's environment. */
struct compute_cache_variables {
	char path[PATH_MAX + 32];
	char bytes[48];
};

/* 0, or -1 with a line in the log. */
int compute_cache_check(const struct configuration *configuration);

/* Makes the tenant's folder. False: it has none, which the log says once if it should have one. */
bool compute_cache_prepare(struct tenant *tenant, const struct process_identity *identity,
			   struct compute_cache_variables *ret_variables);

/* The user whom the tenant's folder belongs to; 0: none. */
uid_t compute_cache_user(const struct tenant *tenant);

/* Marks those of 'count' users from 'first' on who have a folder. 0, or -1: who has one is not known (logged). */
int compute_cache_users_mark(struct mediator *mediator, uid_t first, unsigned count, bool *marks);

/* The user becomes another tenant's: what he has is removed. 0, or -1: he may still have a folder (logged). */
int compute_cache_user_forget(struct mediator *mediator, uid_t user);

/* Removes what nobody has used for long, what is of a user who is to have nothing (executor_user.h), and what an
 * earlier mediator did not finish removing. */
void compute_cache_clean(struct mediator *mediator);

struct compute_cache_removal;
LIST_HEAD(compute_cache_removal_list, compute_cache_removal);

/* Frees what belongs to removals that are not finished; the next mediator continues them. */
void compute_cache_removals_destroy(struct mediator *mediator);

#endif
