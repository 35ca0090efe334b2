/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A range of users that nobody else uses, of whom each tenant's executors get one, so that the kernel too keeps
 * tenants' executors from each other's processes, files and shares of the machine. Who has one now is the caller's to
 * know.
 */
#ifndef MEDIATOR_USER_RANGE_H
#define MEDIATOR_USER_RANGE_H

#include <stdbool.h>
#include <sys/types.h>

struct compute_cache;

struct user_range {
	unsigned first; /* 0: there is none */
	unsigned count; /* at least 1 */
	unsigned next;
};

typedef bool user_is_taken(const void *owner, uid_t user);

/* Whether the range is one: 0, or -1 with a line in the log. */
int user_range_check(unsigned first, unsigned count);

bool user_range_has(const struct user_range *range, uid_t user);

/*
 * Is it one of those, the last quarter of the range, who never have a compute cache? They are for tenants whose user
 * cannot be chosen by looking at the others' caches, for those cannot be read or not removed. 'range' may be NULL.
 */
bool user_range_is_without_cache(const struct user_range *range, uid_t user);

/*
 * A user whom no tenant has, for the tenant whose compute cache is that folder of the cache (NULL: it has none): the
 * one whose folder it is, else one who has no folder, else one who loses his. Nobody who has, or may have, another
 * tenant's: who that is is not known, or cannot be changed, while the folders cannot be read or written. 0: none is
 * left.
 */
uid_t user_range_find(struct user_range *range, struct compute_cache *cache, const char *folder,
		      user_is_taken *is_taken, const void *owner);

#endif
