/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that show how the mediator and its tenants are. */
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin_private.h"
#include "channel.h"
#include "health.h"
#include "latency.h"
#include "log.h"
#include "metrics.h"
#include "probe.h"
#include "schedule_policy.h"
#include "session.h"
#include "state.h"
#include "usage.h"

/* Of connections and of programs. */
static uint64_t refusals_count(const struct mediator *mediator)
{
	return mediator->sessions_refused + counters_refusals(&mediator->counters);
}

static int status(struct admin_request *request)
{
	const struct mediator *mediator = request->mediator;
	const struct configuration *configuration = &mediator->configuration;
	struct health_check checks[HEALTH_CHECKS];
	bool is_good = health_look(mediator, checks);

	request->result =
		json_pack("{s:s, s:i, s:I, s:s, s:o, s:o, s:s, s:i, s:i, s:i, s:I, s:I, s:I, s:I}", "version",
			  VGPU_VERSION, "pid", (int)getpid(), "uptime_seconds",
			  (json_int_t)state_uptime_seconds(mediator), "health", is_good ? "good" : "bad", "driver",
			  admin_string(checks[0].text), "database", admin_string(store_path(mediator->store)), "policy",
			  configuration->policy ? configuration->policy : policy_fair.name, "vms",
			  (int)state_machines_count(mediator), "connections", (int)sessions_count(mediator), "programs",
			  (int)channels_count(mediator), "commands", (json_int_t)counters_sum(mediator, 0).calls,
			  "refused", (json_int_t)refusals_count(mediator), "quarantines",
			  (json_int_t)mediator->counters.quarantines, "log_lines_lost", (json_int_t)log_lost_count());
	return 0;
}

static int show_health(struct admin_request *request)
{
	struct health_check checks[HEALTH_CHECKS];

	health_look(request->mediator, checks);
	request->result = json_array();
	for (int i = 0; i < HEALTH_CHECKS; i++)
		json_array_append_new(request->result,
				      json_pack("{s:s, s:b, s:o}", "check", checks[i].name, "good", checks[i].is_good,
						"text", admin_string(checks[i].text)));
	return 0;
}

static int show_connections(struct admin_request *request)
{
	static const char *const kinds[] = {
		[SESSION_NEW] = "new", [SESSION_DEVICE] = "vm", [SESSION_CLIENT] = "program"};
	const struct session *session;

	request->result = json_array();
	LIST_FOREACH(session, &request->mediator->sessions, link)
	{
		char pool[2] = {(char)session_pool(session), '\0'};

		json_array_append_new(request->result,
				      json_pack("{s:I, s:s, s:o, s:o, s:s, s:i, s:I, s:i, s:b}", "connection",
						(json_int_t)session->number, "kind", kinds[session->kind], "tenant",
						admin_string(session->tenant ? session->tenant->name : ""), "name",
						admin_string(session->name), "pool", pool, "pid",
						(int)session->peer.pid, "uid", (json_int_t)session->peer.uid,
						"programs", (int)session->channels_open, "ending",
						session->socket < 0));
	}
	return 0;
}

/* The totals; or, as "prometheus", what Prometheus reads. */
static int show_metrics(struct admin_request *request)
{
	const struct mediator *mediator = request->mediator;
	struct vgpu_executor_counters all = counters_sum(mediator, 0);
	char format[ADMIN_VALUE_BYTES] = "";
	struct evbuffer *text;

	if (admin_has(request, "format") && admin_text(request, "format", format, sizeof(format)) < 0)
		return -1;
	if (!format[0]) {
		request->result =
			json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "jobs", (json_int_t)all.calls, "launches",
				  (json_int_t)all.launches, "bytes_to_device", (json_int_t)all.bytes_to_device,
				  "bytes_from_device", (json_int_t)all.bytes_from_device, "errors",
				  (json_int_t)all.errors, "rejected", (json_int_t)refusals_count(mediator),
				  "context_switches", (json_int_t)mediator->counters.grants, "quarantines",
				  (json_int_t)mediator->counters.quarantines);
		return 0;
	}
	if (strcmp(format, "prometheus") != 0)
		return admin_fail(request, ADMIN_INVALID, "format: \"%s\" is unknown", format);
	text = evbuffer_new();
	if (text && metrics_write(mediator, text) == 0) {
		size_t bytes = evbuffer_get_length(text);

		request->result = json_pack("{s:s%}", "text", (const char *)evbuffer_pullup(text, -1), bytes);
	}
	if (text)
		evbuffer_free(text);
	return request->result ? 0 : admin_fail(request, ADMIN_FAILED, "the mediator is out of memory");
}

static void latency_rows_add(json_t *rows, const char *of, const struct vgpu_latency latencies[VGPU_CLASS_COUNT])
{
	for (int i = 0; i < VGPU_CLASS_COUNT; i++) {
		const struct vgpu_latency *latency = &latencies[i];
		uint64_t calls = latency_count(latency);

		if (!calls)
			continue;
		json_array_append_new(rows, json_pack("{s:o, s:s, s:I, s:f, s:f, s:f, s:f}", "of", admin_string(of),
						      "class", latency_class_names[i], "calls", (json_int_t)calls,
						      "mean_us", (double)latency->sum_ns / 1e3 / (double)calls,
						      "p50_us", latency_quantile(latency, 0.5) * 1e6, "p95_us",
						      latency_quantile(latency, 0.95) * 1e6, "p99_us",
						      latency_quantile(latency, 0.99) * 1e6));
	}
}

/* How long the calls of pools and tenants took. */
static int show_latency(struct admin_request *request)
{
	const struct mediator *mediator = request->mediator;
	const struct tenant *tenant;

	request->result = json_array();
	for (uint32_t pool = 'A'; pool < 'A' + POOL_COUNT; pool++) {
		struct vgpu_executor_counters counters = counters_sum(mediator, pool);
		char name[] = "pool A";

		name[sizeof("pool ") - 1] = (char)pool;
		latency_rows_add(request->result, name, counters.latencies);
	}
	LIST_FOREACH(tenant, &mediator->tenants, link)
	{
		struct usage_view view = usage_look(mediator, tenant);

		latency_rows_add(request->result, tenant->name, view.sums.counters.latencies);
	}
	return 0;
}

static int reload_config(struct admin_request *request)
{
	log_info("[ADMIN] the configuration is read again for %s", request->who);
	if (request->mediator->reload(request->mediator) < 0)
		return admin_fail(request, ADMIN_FAILED,
				  "the configuration stays as it was: the mediator's log says why");
	return 0;
}

const struct admin_command admin_show_commands[] = {
	{"status", "", status, true},
	{"show-health", "", show_health, true},
	{"show-connections", "", show_connections, true},
	{"show-metrics", "format ", show_metrics, true},
	{"show-latency", "", show_latency, true},
	{"reload-config", "", reload_config, false},
	{NULL, NULL, NULL, false},
};
