/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that vgpu-admin's top and record-workload ask. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin_private.h"
#include "executor_group.h"
#include "latency.h"
#include "log.h"
#include "probe.h"
#include "recorder.h"
#include "scheduler.h"
#include "sensors.h"
#include "state.h"
#include "usage.h"
#include "worker.h"
#include "worker_watch.h"

/* The last one is of what is longer than all bounds. */
static json_t *wait_buckets(const struct usage_waits *waits)
{
	json_t *buckets = json_array();
	uint64_t within = 0;

	for (int i = 0; i < USAGE_WAIT_BUCKETS; i++) {
		json_array_append_new(buckets, json_integer((json_int_t)waits->buckets[i]));
		within += waits->buckets[i];
	}
	json_array_append_new(buckets, json_integer((json_int_t)(waits->count - within)));
	return buckets;
}

/* The same of calls of all classes. */
static json_t *call_buckets(const struct vgpu_latency latencies[VGPU_CLASS_COUNT])
{
	struct vgpu_latency sum = {0};
	json_t *buckets = json_array();

	for (int i = 0; i < VGPU_CLASS_COUNT; i++)
		latency_add(&sum, &latencies[i]);
	for (int i = 0; i < VGPU_LATENCY_BUCKETS; i++)
		json_array_append_new(buckets, json_integer((json_int_t)sum.buckets[i]));
	return buckets;
}

/* In seconds, as the buckets follow each other. */
static json_t *bounds(const double *seconds, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_real(seconds[i]));
	return list;
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
	json_object_set_new(row, "wait_buckets", wait_buckets(waits));
	json_object_set_new(row, "call_buckets", call_buckets(view.sums.counters.latencies));
	return row;
}

/* What is not known is null. */
static void sensors_add(json_t *row, const struct sensors_gpu *sensors)
{
	static const struct {
		const char *name;
		enum sensor sensor;
	} shown[] = {
		{"utilization_percent", SENSOR_UTILIZATION},
		{"memory_used_bytes", SENSOR_MEMORY_USED},
		{"temperature_celsius", SENSOR_TEMPERATURE},
		{"power_milliwatts", SENSOR_POWER},
	};

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		json_object_set_new(row, shown[i].name,
				    sensors && sensors->is_known[shown[i].sensor]
					    ? json_integer((json_int_t)sensors->values[shown[i].sensor])
					    : json_null());
}

static json_t *gpu_usage(const struct mediator *mediator, const struct scheduler_gpu *gpu)
{
	const struct probe *probe = mediator->probe;
	unsigned long long bytes =
		gpu->gpu < probe_device_count(probe) ? probe_device(probe, gpu->gpu).memory_bytes : 0;
	char name[WORKER_GPU_NAME_BYTES];
	char pool;
	const char *worker = worker_of_gpu(mediator, gpu->gpu, &pool);
	json_t *row;

	snprintf(name, sizeof(name), "%u", gpu->gpu);
	if (worker)
		worker_gpu_name(worker, gpu->gpu - worker_gpu(worker), name);
	row = json_pack("{s:i, s:o, s:s, s:i, s:i, s:i, s:o, s:o}", "gpu", (int)gpu->gpu, "name", admin_string(name),
			"policy", gpu->policy, "tenants", (int)gpu->tenants, "programs", (int)gpu->processes, "waiting",
			(int)gpu->waiting, "current", admin_string(gpu->current ? gpu->current->name : ""),
			"memory_total_bytes", bytes ? json_integer((json_int_t)bytes) : json_null());
	sensors_add(row, sensors_of_gpu(mediator->sensors, gpu->gpu));
	return row;
}

/* This host's, and those of workers' that have programs. */
static json_t *gpus_usage(const struct mediator *mediator)
{
	struct scheduler_gpu gpus[SCHEDULERS_MAX];
	unsigned found = schedulers_look(mediator, gpus, SCHEDULERS_MAX);
	unsigned here = probe_device_count(mediator->probe);
	json_t *rows = json_array();

	if (found > SCHEDULERS_MAX)
		found = SCHEDULERS_MAX;
	for (unsigned gpu = 0; gpu < here; gpu++) {
		struct scheduler_gpu shown = {.gpu = gpu, .policy = ""};

		for (unsigned i = 0; i < found; i++) {
			if (gpus[i].gpu == gpu)
				shown = gpus[i];
		}
		json_array_append_new(rows, gpu_usage(mediator, &shown));
	}
	for (unsigned i = 0; i < found; i++) {
		if (gpus[i].gpu >= here)
			json_array_append_new(rows, gpu_usage(mediator, &gpus[i]));
	}
	return rows;
}

static int show_usage(struct admin_request *request)
{
	const struct mediator *mediator = request->mediator;
	double call_bounds[VGPU_LATENCY_BUCKETS - 1];
	json_t *rows = json_array();
	const struct tenant *tenant;
	struct timespec now;

	for (int i = 0; i < VGPU_LATENCY_BUCKETS - 1; i++)
		call_bounds[i] = (double)latency_bounds_ns[i] / 1e9;
	LIST_FOREACH(tenant, &mediator->tenants, link)
	json_array_append_new(rows, tenant_usage(mediator, tenant));
	clock_gettime(CLOCK_MONOTONIC, &now);
	request->result =
		json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "time_ns",
			  (json_int_t)(now.tv_sec * 1000000000ll + now.tv_nsec), "uptime_seconds",
			  (json_int_t)state_uptime_seconds(mediator), "switches", (json_int_t)mediator->counters.grants,
			  "wait_bounds", bounds(usage_wait_bounds, USAGE_WAIT_BUCKETS), "call_bounds",
			  bounds(call_bounds, VGPU_LATENCY_BUCKETS - 1), "gpus", gpus_usage(mediator), "tenants", rows);
	return 0;
}

static int record_workload(struct admin_request *request)
{
	char replace[8] = "no";
	uint64_t seconds;
	uint64_t number;

	if (admin_number(request, "for", 1, RECORDER_SECONDS_MAX, &seconds) < 0)
		return -1;
	if (admin_has(request, "replace") && admin_text(request, "replace", replace, sizeof(replace)) < 0)
		return -1;
	if (strcmp(replace, "yes") != 0 && strcmp(replace, "no") != 0)
		return admin_fail(request, ADMIN_INVALID, "replace: \"%s\" is neither yes nor no", replace);
	if (recorder_is_busy(request->mediator) && strcmp(replace, "yes") != 0)
		return admin_fail(request, ADMIN_CONFLICT,
				  "a workload is being recorded already; --replace=yes discards that");
	number = recorder_begin(request->mediator, (unsigned)seconds);
	if (!number)
		return admin_fail(request, ADMIN_FAILED, "the mediator is out of memory");
	log_info("[ADMIN] the workload is recorded for %u s for %s", (unsigned)seconds, request->who);
	request->result = json_pack("{s:I}", "number", (json_int_t)number);
	return 0;
}

static int record_end(struct admin_request *request)
{
	uint64_t number;

	if (admin_number(request, "number", 1, INT64_MAX, &number) < 0)
		return -1;
	request->result = recorder_take(request->mediator, number);
	return request->result ? 0
			       : admin_fail(request, ADMIN_NOT_FOUND,
					    "that recording is gone: it was replaced, or the "
					    "mediator started anew");
}

const struct admin_command admin_usage_commands[] = {
	{"record-workload", "for replace ", record_workload, false},
	{"record-end", "number ", record_end, false},
	{"show-usage", "", show_usage, true},
	{NULL, NULL, NULL, false},
};
