/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that show how the mediator and its tenants are. */
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin_private.h"
#include "channel.h"
#include "executor_group.h"
#include "health.h"
#include "latency.h"
#include "log.h"
#include "metrics.h"
#include "probe.h"
#include "schedule_policy.h"
#include "scheduler.h"
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

/* What top shows: everything that a rate is made of, with the time that it belongs to. */
static json_t *tenant_usage(const struct mediator *mediator, const struct tenant *tenant)
{
	const struct usage_waits *waits = &tenant->usage.waits;
	struct usage_view view = usage_look(mediator, tenant);
	const char *name = tenant->key.kind == TENANT_VM ? admin_live_name(mediator, tenant->key.id) : "";
	json_t *row =
		json_pack("{s:o, s:o, s:s, s:i, s:i, s:f, s:I, s:b, s:b, s:I}", "tenant", admin_string(tenant->name),
			  "name", admin_string(name), "priority", admin_priority_name(tenant->settings.priority),
			  "weight", (int)tenant->settings.weight, "programs", (int)tenant->processes, "entitlement",
			  view.entitlement, "gpu_ns", (json_int_t)view.used_ns, "has_gpu", view.has_gpu, "waiting",
			  view.is_waiting, "in_flight", (json_int_t)view.in_flight);
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"waits", waits->count},
		{"wait_ns", waits->sum_ns},
		{"memory_bytes", view.memory_bytes},
		{"memory_limit", tenant->settings.limits.memory_bytes},
		{"pinned_bytes", view.pinned_bytes},
		{"host_memory_bytes", executor_group_memory(&tenant->group)},
		{"commands", view.sums.counters.calls},
		{"launches", view.sums.counters.launches},
		{"bytes", view.sums.counters.bytes_to_device + view.sums.counters.bytes_from_device},
		{"errors", view.sums.counters.errors},
		{"refused", tenant->usage.refusals},
		{"faults", tenant->faults_in_all},
		{"quarantined", tenant->quarantined_until != 0},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(row, numbers[i].name, json_integer((json_int_t)numbers[i].value));
	return row;
}

static int show_usage(struct admin_request *request)
{
	const struct mediator *mediator = request->mediator;
	struct scheduler_gpu gpus[SCHEDULERS_MAX];
	unsigned count = schedulers_look(mediator, gpus, SCHEDULERS_MAX);
	json_t *gpu_rows = json_array();
	json_t *rows = json_array();
	const struct tenant *tenant;
	struct timespec now;

	for (unsigned i = 0; i < count && i < SCHEDULERS_MAX; i++)
		json_array_append_new(gpu_rows,
				      json_pack("{s:i, s:s, s:i, s:i, s:i, s:o}", "gpu", (int)gpus[i].gpu, "policy",
						gpus[i].policy, "tenants", (int)gpus[i].tenants, "programs",
						(int)gpus[i].processes, "waiting", (int)gpus[i].waiting, "current",
						admin_string(gpus[i].current ? gpus[i].current->name : "")));
	LIST_FOREACH(tenant, &mediator->tenants, link)
	json_array_append_new(rows, tenant_usage(mediator, tenant));
	clock_gettime(CLOCK_MONOTONIC, &now);
	request->result =
		json_pack("{s:I, s:I, s:I, s:o, s:o}", "time_ns", (json_int_t)(now.tv_sec * 1000000000ll + now.tv_nsec),
			  "uptime_seconds", (json_int_t)state_uptime_seconds(mediator), "switches",
			  (json_int_t)mediator->counters.grants, "gpus", gpu_rows, "tenants", rows);
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
	{"show-usage", "", show_usage, true},
	{"show-latency", "", show_latency, true},
	{"reload-config", "", reload_config, false},
	{NULL, NULL, NULL, false},
};
