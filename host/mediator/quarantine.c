/* SPDX-License-Identifier: Apache-2.0 */
#include "quarantine.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "log.h"
#include "mediator.h"
#include "tenant.h"

#define FOREVER INT64_MAX

static int64_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

int quarantine_load(struct tenant *tenant)
{
	struct store_quarantine stored;
	enum store_result result = store_quarantine_get(tenant->mediator->store, tenant->name, &stored);
	int64_t left;

	tenant->quarantined_until = 0;
	if (result == STORE_NONE)
		return 0;
	if (result != STORE_DONE) {
		log_error("[STORE] %s: whether it is quarantined cannot be read: %s", tenant->label,
			  store_error(tenant->mediator->store));
		return -1;
	}
	left = stored.until - time(NULL);
	if (stored.until == 0)
		tenant->quarantined_until = FOREVER;
	else if (left > 0)
		tenant->quarantined_until = seconds_now() + left;
	return 0;
}

bool quarantine_holds(struct tenant *tenant)
{
	struct store *store = tenant->mediator->store;

	if (!tenant->quarantined_until)
		return false;
	if (seconds_now() < tenant->quarantined_until)
		return true;
	log_info("[QUARANTINE] %s: over", tenant->label);
	tenant->quarantined_until = 0;
	tenant->faults = 0;
	if (store_quarantine_clear(store, tenant->name) == STORE_FAILED)
		log_error("[STORE] %s: the quarantine's end cannot be stored: %s", tenant->label, store_error(store));
	return false;
}

static enum store_result put(struct mediator *mediator, const char *name, unsigned seconds, const char *reason,
			     const char *by)
{
	int64_t now = time(NULL);
	struct store_quarantine quarantine = {.since = now, .until = seconds ? now + seconds : 0};

	snprintf(quarantine.key, sizeof(quarantine.key), "%s", name);
	snprintf(quarantine.reason, sizeof(quarantine.reason), "%s", reason);
	snprintf(quarantine.by, sizeof(quarantine.by), "%s", by);
	/* Those of VMs that never came back would only gather. */
	if (store_quarantines_expire(mediator->store, now) != STORE_DONE)
		return STORE_FAILED;
	return store_quarantine_put(mediator->store, &quarantine);
}

/* 'pool_id' may be 0: not known. */
static void count(struct mediator *mediator, uint32_t pool_id)
{
	uint32_t pool = pool_id - 'A';

	mediator->counters.quarantines++;
	if (pool < POOL_COUNT)
		mediator->counters.quarantines_of[pool]++;
}

void quarantine_faults(struct tenant *tenant, unsigned seconds, const char *last_fault)
{
	struct mediator *mediator = tenant->mediator;
	char reason[STORE_TEXT_BYTES];

	tenant->quarantined_until = seconds_now() + seconds;
	tenant->quarantines++;
	count(mediator, tenant_pool(tenant));
	log_warning("[QUARANTINE] %s: quarantined for %u s after %" PRIu32 " faults, the last one: %s", tenant->label,
		    seconds, tenant->faults, last_fault);
	snprintf(reason, sizeof(reason), "%" PRIu32 " faults, the last one: %s", tenant->faults, last_fault);
	tenant->quarantine_is_unstored = put(mediator, tenant->name, seconds, reason, "mediator") != STORE_DONE;
	if (tenant->quarantine_is_unstored)
		log_error("[STORE] %s: the quarantine cannot be stored, it ends with the mediator: %s", tenant->label,
			  store_error(mediator->store));
}

enum store_result quarantine_set(struct mediator *mediator, const char *name, unsigned seconds, const char *reason,
				 const char *by)
{
	struct tenant *tenant = tenant_find(mediator, name);
	enum store_result result = put(mediator, name, seconds, reason, by);
	struct store_tenant stored;

	if (result != STORE_DONE)
		return result;
	/* One that is not there may have a pool all the same. */
	if (!tenant && store_tenant_get(mediator->store, name, &stored) != STORE_DONE)
		stored.pool = '\0';
	count(mediator, tenant ? tenant_pool(tenant) : (uint32_t)stored.pool);
	if (tenant) {
		tenant->quarantined_until = seconds ? seconds_now() + seconds : FOREVER;
		tenant->quarantines++;
	}
	log_warning("[QUARANTINE] %s: quarantined by %s: %s", name, by, reason);
	return STORE_DONE;
}

enum store_result quarantine_clear(struct mediator *mediator, const char *name, const char *by)
{
	struct tenant *tenant = tenant_find(mediator, name);
	enum store_result result = store_quarantine_clear(mediator->store, name);

	if (result == STORE_FAILED)
		return result;
	/* Also one that could not be stored. */
	if (tenant && tenant->quarantined_until) {
		tenant->quarantined_until = 0;
		tenant->faults = 0;
		result = STORE_DONE;
	}
	if (result == STORE_DONE)
		log_info("[QUARANTINE] %s: cleared by %s", name, by);
	return result;
}
