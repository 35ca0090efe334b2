/* SPDX-License-Identifier: Apache-2.0 */
#include "health.h"

#include <stdio.h>

#include "admin_socket.h"
#include "gpu_events.h"
#include "log.h"
#include "mediator.h"
#include "metrics_http.h"
#include "pool_supply.h"
#include "probe.h"
#include "starts.h"
#include "store.h"
#include "worker.h"
#include "worker_watch.h"

/* With workers alone a host needs no driver, and no GPU. */
static bool driver_check(const struct mediator *mediator, char *text)
{
	const struct probe *probe = mediator->probe;

	if (probe_state(probe) == PROBE_READY && probe_doubt(probe)[0]) {
		snprintf(text, HEALTH_TEXT_BYTES, "%s", probe_doubt(probe));
		return !pool_supply_needs_driver(mediator);
	}
	if (probe_state(probe) == PROBE_READY) {
		int used = snprintf(text, HEALTH_TEXT_BYTES, "%s%s%s, %u devices", probe_refused(probe),
				    probe_refused(probe)[0] ? "; programs compute on this host's processors instead: "
							    : "",
				    probe_driver_library(probe), probe_device_count(probe));

		if (probe_device_count_beyond(probe) && used < HEALTH_TEXT_BYTES)
			snprintf(text + used, HEALTH_TEXT_BYTES - (size_t)used, "; %u more are not used",
				 probe_device_count_beyond(probe));
		return !probe_refused(probe)[0] || !pool_supply_needs_driver(mediator);
	}
	snprintf(text, HEALTH_TEXT_BYTES, "%s",
		 probe_state(probe) == PROBE_FAILED ? probe_reason(probe) : "being probed");
	return !pool_supply_needs_driver(mediator);
}

static bool executors_check(const struct mediator *mediator, char *text)
{
	return starts_look(&mediator->starts, text, HEALTH_TEXT_BYTES);
}

static bool pools_check(const struct mediator *mediator, char *text)
{
	return pool_supply_look(mediator, text, HEALTH_TEXT_BYTES);
}

static bool workers_check(const struct mediator *mediator, char *text)
{
	return worker_watches_look(mediator, text, HEALTH_TEXT_BYTES);
}

static bool database_check(const struct mediator *mediator, char *text)
{
	struct store_pool pool;
	bool is_good = store_pool_get(mediator->store, 'A', &pool) == STORE_DONE;

	snprintf(text, HEALTH_TEXT_BYTES, "%s", is_good ? store_path(mediator->store) : store_error(mediator->store));
	return is_good;
}

static bool log_check(const struct mediator *mediator, char *text)
{
	(void)mediator;
	snprintf(text, HEALTH_TEXT_BYTES, "%llu lines lost", (unsigned long long)log_lost_count());
	return log_lost_count() == log_lost_reported_count();
}

static bool gpus_check(const struct mediator *mediator, char *text)
{
	bool has_no_errors = gpu_events_look(mediator->gpu_events, text, HEALTH_TEXT_BYTES);

	/* Errors that the GPU reports may be the reason. */
	if (!has_no_errors)
		return false;
	return gpu_hangs_look(mediator, text, HEALTH_TEXT_BYTES);
}

static bool metrics_check(const struct mediator *mediator, char *text)
{
	return metrics_http_look(mediator->metrics, text, HEALTH_TEXT_BYTES);
}

static bool admin_check(const struct mediator *mediator, char *text)
{
	return admin_socket_look(mediator->admin_socket, text, HEALTH_TEXT_BYTES);
}

bool health_look(const struct mediator *mediator, struct health_check ret_checks[HEALTH_CHECKS])
{
	static const struct {
		const char *name;
		bool (*look)(const struct mediator *mediator, char *text);
	} checks[] = {
		{"driver", driver_check},   {"executors", executors_check}, {"pools", pools_check},
		{"workers", workers_check}, {"database", database_check},   {"log", log_check},
		{"gpus", gpus_check},	    {"metrics", metrics_check},	    {"admin", admin_check},
	};
	bool is_good = true;

	_Static_assert(sizeof(checks) / sizeof(checks[0]) == HEALTH_CHECKS, "as many as are told");
	for (int i = 0; i < HEALTH_CHECKS; i++) {
		ret_checks[i].name = checks[i].name;
		ret_checks[i].is_good = checks[i].look(mediator, ret_checks[i].text);
		is_good &= ret_checks[i].is_good;
	}
	return is_good;
}
