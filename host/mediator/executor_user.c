/* SPDX-License-Identifier: Apache-2.0 */
#include "executor_user.h"

#include <errno.h>

#include "log.h"
#include "mediator.h"
#include "tenant.h"
#include "tenant_cache.h"

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

static bool is_taken(const void *mediator, uid_t user)
{
	return tenant_of_user(mediator, user) != NULL;
}

int executor_user_take(struct tenant *tenant, struct process_identity *ret_identity)
{
	struct mediator *mediator = tenant->mediator;
	char folder[COMPUTE_CACHE_NAME_BYTES];

	*ret_identity = mediator->executor_identity;
	if (!ret_identity->change)
		return 0;
	/* What runs already may share memory with what comes: the same user, whatever the settings are by now. */
	if (!tenant->executor_user && tenant->processes == 0 && mediator->executor_users.first) {
		tenant->executor_user =
			user_range_find(&mediator->executor_users, &mediator->compute_cache,
					tenant_cache_name(tenant, folder) ? folder : NULL, is_taken, mediator);
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
	return user == mediator->executor_identity.user || user_range_has(&mediator->executor_users, user) ||
	       (user != 0 && tenant_of_user(mediator, user));
}
