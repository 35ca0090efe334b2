/* SPDX-License-Identifier: Apache-2.0 */
#include "executor_user.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compute_cache.h"
#include "log.h"
#include "mediator.h"
#include "tenant.h"

/* Below are a system's own users. */
#define USER_MIN 1000u
/* (uid_t)-1 and what some systems take for it are nobody. */
#define USER_MAX 0xfffffff0u

int executor_users_check(const struct configuration *configuration)
{
	unsigned first = configuration->executor_users_first;

	if (!first)
		return 0;
	if (first >= USER_MIN && first <= USER_MAX - configuration->executor_users_count)
		return 0;
	log_error("executor-users-first: %u to %u are no users for executors", first,
		  first + configuration->executor_users_count - 1);
	return -1;
}

static bool user_is_in_range(const struct configuration *configuration, uid_t user)
{
	return configuration->executor_users_first && user >= configuration->executor_users_first &&
	       user - configuration->executor_users_first < configuration->executor_users_count;
}

static const struct tenant *tenant_of_user(const struct mediator *mediator, uid_t user)
{
	const struct tenant *tenant;

	LIST_FOREACH(tenant, &mediator->tenants, link)
	{
		if (tenant->executor_user == user)
			return tenant;
	}
	return NULL;
}

/* So many users at the beginning of the range may have a compute cache. */
static unsigned users_with_cache(const struct configuration *configuration)
{
	return configuration->executor_users_count - (configuration->executor_users_count + 2) / 4;
}

bool executor_user_is_without_cache(const struct configuration *configuration, uid_t user)
{
	return user_is_in_range(configuration, user) &&
	       user - configuration->executor_users_first >= users_with_cache(configuration);
}

/* In turn, so that what one left behind in a file is not the next one's. 0: none but those who are marked. */
static uid_t user_next(struct mediator *mediator, const bool *marks)
{
	const struct configuration *configuration = &mediator->configuration;

	for (unsigned i = 0; i < configuration->executor_users_count; i++) {
		unsigned index = mediator->executor_users_next++ % configuration->executor_users_count;
		uid_t user = configuration->executor_users_first + index;

		if (!marks[index] && !tenant_of_user(mediator, user))
			return user;
	}
	return 0;
}

/* Those from 'first' on, and no others. */
static void users_mark_from(const struct configuration *configuration, bool *marks, unsigned first, bool mark)
{
	for (unsigned i = 0; i < configuration->executor_users_count; i++)
		marks[i] = (i >= first) == mark;
}

/*
 * The one whose compute cache is the tenant's, else one who has none, else one who loses his. Nobody who has, or may
 * have, another tenant's: who that is is not known, or cannot be changed, while the folders cannot be read or written.
 */
static uid_t user_find(struct tenant *tenant)
{
	struct mediator *mediator = tenant->mediator;
	const struct configuration *configuration = &mediator->configuration;
	unsigned with_cache =
		configuration->compute_cache ? users_with_cache(configuration) : configuration->executor_users_count;
	uid_t user = compute_cache_user(tenant);
	bool *marks;
	bool is_known;

	if (user_is_in_range(configuration, user) && !executor_user_is_without_cache(configuration, user) &&
	    !tenant_of_user(mediator, user))
		return user;
	marks = calloc(configuration->executor_users_count, sizeof(*marks));
	if (!marks)
		return 0;
	users_mark_from(configuration, marks, with_cache, true);
	is_known = compute_cache_users_mark(mediator, configuration->executor_users_first, with_cache, marks) == 0;
	user = is_known ? user_next(mediator, marks) : 0;
	if (!user && is_known) {
		users_mark_from(configuration, marks, with_cache, true);
		user = user_next(mediator, marks);
		if (user && compute_cache_user_forget(mediator, user) < 0)
			user = 0;
	}
	if (!user) {
		users_mark_from(configuration, marks, with_cache, false);
		user = user_next(mediator, marks);
	}
	free(marks);
	return user;
}

int executor_user_take(struct tenant *tenant, struct process_identity *ret_identity)
{
	struct mediator *mediator = tenant->mediator;

	*ret_identity = mediator->executor_identity;
	if (!ret_identity->change)
		return 0;
	/* What runs already may share memory with what comes: the same user, whatever the settings are by now. */
	if (!tenant->executor_user && tenant->processes == 0 && mediator->configuration.executor_users_first) {
		tenant->executor_user = user_find(tenant);
		if (!tenant->executor_user) {
			log_warning("%s: no user is left for its executors: executor-users-count", tenant->label);
			errno = EAGAIN;
			return -1;
		}
	}
	if (tenant->executor_user)
		ret_identity->user = tenant->executor_user;
	return 0;
}

void executor_user_adopt(struct tenant *tenant, uid_t user)
{
	tenant->executor_user = user;
}

bool executor_user_is(const struct mediator *mediator, uid_t user)
{
	if (!mediator->executor_identity.change)
		return false;
	return user == mediator->executor_identity.user || user_is_in_range(&mediator->configuration, user) ||
	       (user != 0 && tenant_of_user(mediator, user));
}
