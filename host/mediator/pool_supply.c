/* SPDX-License-Identifier: Apache-2.0 */
#include "pool_supply.h"

#include <stdio.h>

#include "mediator.h"
#include "placement.h"
#include "probe.h"
#include "session.h"
#include "store.h"
#include "worker.h"

static bool tenant_count(const struct store_tenant *tenant, void *argument)
{
	struct pool_supply *supply = argument;

	if (tenant->vm_id && tenant->pool)
		supply->pools[tenant->pool - 'A'].users++;
	return true;
}

/* One that is registered for a pool is counted there already. */
static bool session_is_more(const struct mediator *mediator, const struct session *session)
{
	struct store_tenant tenant;

	if (session->socket < 0 || session_pool(session) < 'A' || session_pool(session) > 'Z')
		return false;
	return !session->tenant || session->kind != SESSION_DEVICE ||
	       store_tenant_get(mediator->store, session->tenant->name, &tenant) != STORE_DONE || !tenant.pool;
}

static bool users_count(const struct mediator *mediator, struct pool_supply *supply)
{
	const struct session *session;

	if (store_tenants_visit(mediator->store, tenant_count, supply) != STORE_DONE)
		return false;
	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (session_is_more(mediator, session))
			supply->pools[session_pool(session) - 'A'].users++;
	}
	return true;
}

bool pool_supply_read(const struct mediator *mediator, struct pool_supply *ret_supply)
{
	struct placement_gpus gpus;

	*ret_supply = (struct pool_supply){0};
	if (probe_state(mediator->probe) != PROBE_READY || !users_count(mediator, ret_supply) ||
	    !placement_gpus_read(mediator, &gpus))
		return false;
	ret_supply->any_assigned = gpus.any_assigned;
	ret_supply->free_gpus = gpus.usable['\0'];
	for (unsigned i = 0; i < POOL_SUPPLY_POOLS; i++) {
		struct pool_supply_pool *pool = &ret_supply->pools[i];

		pool->own_gpus = gpus.usable['A' + i];
		pool->has_worker = pool_has_worker(mediator, 'A' + i);
		pool->is_served = pool->has_worker || pool->own_gpus || ret_supply->free_gpus;
	}
	return true;
}

bool pool_supply_look(const struct mediator *mediator, char *text, size_t bytes)
{
	struct pool_supply supply;
	size_t used = 0;

	if (!pool_supply_read(mediator, &supply)) {
		snprintf(text, bytes, "it is not known which GPUs there are");
		return true;
	}
	for (unsigned i = 0; i < POOL_SUPPLY_POOLS && used < bytes; i++) {
		if (supply.pools[i].users && !supply.pools[i].is_served)
			used += (size_t)snprintf(text + used, bytes - used,
						 "%spool %c has no GPU: each is another pool's, or faulty",
						 used ? "; " : "", 'A' + i);
	}
	if (!used)
		snprintf(text, bytes, "all that are used have a GPU");
	return !used;
}

bool pool_supply_needs_driver(const struct mediator *mediator)
{
	struct pool_supply supply = {0};

	if (mediator->configuration.workers.count == 0 || !users_count(mediator, &supply))
		return true;
	for (unsigned i = 0; i < POOL_SUPPLY_POOLS; i++) {
		if (supply.pools[i].users && !pool_has_worker(mediator, 'A' + i))
			return true;
	}
	return false;
}
