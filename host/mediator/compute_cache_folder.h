/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of compute caches (compute_cache.h): its folders' names, and how they are removed. */
#ifndef MEDIATOR_COMPUTE_CACHE_FOLDER_H
#define MEDIATOR_COMPUTE_CACHE_FOLDER_H

#include <stdbool.h>

struct compute_cache;

/* The cache's directory, made if it is not there; -1 with errno (EPERM: others may write to it). */
int compute_cache_directory_open(const struct compute_cache *cache);

/* Is it one that compute_cache_name_make() may have made? */
bool compute_cache_name_is_tenants(const char *name);

/* What is moved into it is removed when compute_cache_trash_empty() is called. */
struct compute_cache_trash {
	int directory; /* the caller's */
	int folder;    /* -1: not made yet */
	char name[24];
};

#define COMPUTE_CACHE_TRASH(of)                  \
	{                                        \
		.directory = (of), .folder = -1, \
	}

/* Out of everybody's reach at once. 0, or -1 with errno. */
int compute_cache_trash_take(struct compute_cache_trash *trash, const char *name);

/* Has another process remove it, if there is anything. */
void compute_cache_trash_empty(struct compute_cache *cache, struct compute_cache_trash *trash);

/* Is it the name of one that was not emptied? */
bool compute_cache_trash_is(const char *name);

#endif
