/* SPDX-License-Identifier: Apache-2.0 */
#include "user_range.h"

#include <stdlib.h>
#include <string.h>

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

uid_t user_range_find(struct user_range *range, struct compute_cache *cache, const char *folder,
		      user_is_taken *is_taken, const void *owner)
{
	uid_t user = folder ? compute_cache_user(cache, folder) : 0;
	bool *marks;

	if (user_range_has(range, user) && !is_taken(owner, user))
		return user;
	marks = calloc(range->count, sizeof(*marks));
	if (!marks)
		return 0;
	compute_cache_users_mark(cache, range->first, range->count, marks);
	user = user_next(range, marks, is_taken, owner);
	if (!user) {
		memset(marks, 0, range->count * sizeof(*marks));
		user = user_next(range, marks, is_taken, owner);
		if (user && compute_cache_user_forget(cache, user) < 0)
			user = 0;
	}
	free(marks);
	return user;
}
