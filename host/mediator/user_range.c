/* SPDX-License-Identifier: Apache-2.0 */
#include "user_range.h"

#include <stdlib.h>

#include "compute_cache.h"
#include "log.h"

/* Below are a system's own users. */
#define USER_MIN 1000u
/* (uid_t)-1 and what some systems take for it are nobody. */
#define USER_MAX 0xfffffff0u

int user_range_check(unsigned first, unsigned count)
{
	if (!first || (first >= USER_MIN && count <= USER_MAX && first <= USER_MAX - count))
		return 0;
	log_error("executor-users-first: %u to %u are no users for executors", first, first + count - 1);
	return -1;
}

bool user_range_has(const struct user_range *range, uid_t user)
{
	return range->first && user >= range->first && user - range->first < range->count;
}

/* So many users at the beginning of the range may have a compute cache. */
static unsigned users_with_cache(const struct user_range *range)
{
	return range->count - (range->count + 2) / 4;
}

bool user_range_is_without_cache(const struct user_range *range, uid_t user)
{
	return range && user_range_has(range, user) && user - range->first >= users_with_cache(range);
}

/* In turn, so that what one left behind in a file is not the next one's. 0: none but those who are marked. */
static uid_t user_next(struct user_range *range, const bool *marks, user_is_taken *is_taken, const void *owner)
{
	for (unsigned i = 0; i < range->count; i++) {
		unsigned index = range->next++ % range->count;
		uid_t user = range->first + index;

		if (!marks[index] && !is_taken(owner, user))
			return user;
	}
	return 0;
}

/* Those from 'first' on, and no others. */
static void users_mark_from(const struct user_range *range, bool *marks, unsigned first, bool mark)
{
	for (unsigned i = 0; i < range->count; i++)
		marks[i] = (i >= first) == mark;
}

uid_t user_range_find(struct user_range *range, struct compute_cache *cache, const char *folder,
		      user_is_taken *is_taken, const void *owner)
{
	unsigned with_cache = cache->path ? users_with_cache(range) : range->count;
	uid_t user = folder ? compute_cache_user(cache, folder) : 0;
	bool *marks;
	bool is_known;

	if (user_range_has(range, user) && !user_range_is_without_cache(range, user) && !is_taken(owner, user))
		return user;
	marks = calloc(range->count, sizeof(*marks));
	if (!marks)
		return 0;
	users_mark_from(range, marks, with_cache, true);
	is_known = compute_cache_users_mark(cache, range->first, with_cache, marks) == 0;
	user = is_known ? user_next(range, marks, is_taken, owner) : 0;
	if (!user && is_known) {
		users_mark_from(range, marks, with_cache, true);
		user = user_next(range, marks, is_taken, owner);
		if (user && compute_cache_user_forget(cache, user) < 0)
			user = 0;
	}
	if (!user) {
		users_mark_from(range, marks, with_cache, false);
		user = user_next(range, marks, is_taken, owner);
	}
	free(marks);
	return user;
}
