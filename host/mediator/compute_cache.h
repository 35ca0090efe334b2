/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a tenant's executors keep the code that the driver has compiled: a folder for each tenant in one directory,
 * which only the daemon (mediator, vgpu-worker) writes to. A folder belongs to its tenant's user (user_range.h) and
 * stays that user's when the tenant is gone, so whoever gets the user later must not find it; in it nothing is trusted.
 * One thread only: a few calls on a local file system each; what may be long is done by another process.
 */
#ifndef MEDIATOR_COMPUTE_CACHE_H
#define MEDIATOR_COMPUTE_CACHE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define COMPUTE_CACHE_NAME_BYTES  (NAME_MAX + 1)
#define COMPUTE_CACHE_HOST_PREFIX "host-" /* of folders of tenants of another host */

struct process_identity;
struct user_range;

struct compute_cache {
	const char *path;		/* NULL: there is none; the caller's */
	unsigned mib;			/* of one folder, as the driver keeps to it */
	bool has_failed;		/* and the log has said so */
	const struct user_range *users; /* of whom some never have a folder; NULL: of no range */
	/* Has another process remove a folder, which was made by executors, and all in it. 0, or -1 with errno. */
	int (*remove)(struct compute_cache *cache, const char *path);
	void *owner;
};

/* "NAME=value", for the executor's environment. */
struct compute_cache_variables {
	char path[PATH_MAX + 32];
	char bytes[48];
};

/* Whether it is a path for one: 0, or -1 with a line in the log. */
int compute_cache_check(const char *path);

/*
 * The folder's name of a tenant, which no other of the same prefix has: 'prefix' is empty, or begins with
 * COMPUTE_CACHE_HOST_PREFIX and is of characters for files. False: it would be too long.
 */
bool compute_cache_name_make(const char *prefix, const char *tenant, char name[COMPUTE_CACHE_NAME_BYTES]);

/* Makes the folder. False: there is none, which the log says once if there should be one. */
bool compute_cache_prepare(struct compute_cache *cache, const char *name, const struct process_identity *identity,
			   struct compute_cache_variables *ret_variables);

/* The user whom the folder belongs to; 0: none. */
uid_t compute_cache_user(const struct compute_cache *cache, const char *name);

/* Marks those of 'count' users from 'first' on who have a folder. 0, or -1: who has one is not known (logged). */
int compute_cache_users_mark(struct compute_cache *cache, uid_t first, unsigned count, bool *marks);

/* The user becomes another tenant's: what he has is removed. 0, or -1: he may still have a folder (logged). */
int compute_cache_user_forget(struct compute_cache *cache, uid_t user);

/*
 * Removes what nobody has used for long, what is of a user who is to have nothing (user_range.h), and what an earlier
 * daemon did not finish removing; 'is_in_use' may be NULL: nothing is.
 */
void compute_cache_clean(struct compute_cache *cache, bool (*is_in_use)(const void *owner, const char *name),
			 const void *owner);

#endif
