/* SPDX-License-Identifier: Apache-2.0 */
#include "health.h"

#include <stdio.h>

#include "gpu_events.h"
#include "log.h"
#include "mediator.h"
#include "probe.h"
#include "store.h"

static void driver_check(const struct mediator *mediator, struct health_check *check)
{
	enum probe_state state = probe_state(mediator->probe);

	check->name = "driver";
	check->is_good = state == PROBE_READY;
	if (state == PROBE_READY)
		snprintf(check->text, sizeof(check->text), "%s, %u devices", probe_driver_library(mediator->probe),
			 probe_device_count(mediator->probe));
	else
		snprintf(check->text, sizeof(check->text), "%s",
			 state == PROBE_FAILED ? probe_reason(mediator->probe) : "being probed");
}

static void database_check(const struct mediator *mediator, struct health_check *check)
{
	struct store_pool pool;

	check->name = "database";
	check->is_good = store_pool_get(mediator->store, 'A', &pool) == STORE_DONE;
	snprintf(check->text, sizeof(check->text), "%s",
		 check->is_good ? store_path(mediator->store) : store_error(mediator->store));
}

static void log_check(struct health_check *check)
{
	check->name = "log";
	check->is_good = log_lost_count() == log_lost_reported_count();
	snprintf(check->text, sizeof(check->text), "%llu lines lost", (unsigned long long)log_lost_count());
}

static void gpus_check(const struct mediator *mediator, struct health_check *check)
{
	check->name = "gpus";
	check->is_good = gpu_events_look(mediator->gpu_events, check->text, sizeof(check->text));
}

bool health_look(const struct mediator *mediator, struct health_check ret_checks[HEALTH_CHECKS])
{
	driver_check(mediator, &ret_checks[0]);
	database_check(mediator, &ret_checks[1]);
	log_check(&ret_checks[2]);
	gpus_check(mediator, &ret_checks[3]);
	for (int i = 0; i < HEALTH_CHECKS; i++) {
		if (!ret_checks[i].is_good)
			return false;
	}
	return true;
}
