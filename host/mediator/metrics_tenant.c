/* SPDX-License-Identifier: Apache-2.0 */
/* Families that have a sample for each tenant. */
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "executor_group.h"
#include "latency.h"
#include "mediator.h"
#include "metrics.h"
#include "metrics_private.h"
#include "session.h"
#include "store.h"
#include "usage.h"

struct sample {
	const struct tenant *tenant;
	struct usage_view view;
	char labels[2 * METRICS_LABEL_BYTES]; /* without braces */
};

typedef double figure(const struct sample *sample);

static double jobs(const struct sample *sample)
{
	return (double)sample->view.sums.counters.calls;
}

static double launches(const struct sample *sample)
{
	return (double)sample->view.sums.counters.launches;
}

static double launches_chained(const struct sample *sample)
{
	return (double)sample->view.sums.counters.launches_chained;
}

static double bytes_to(const struct sample *sample)
{
	return (double)sample->view.sums.counters.bytes_to_device;
}

static double bytes_from(const struct sample *sample)
{
	return (double)sample->view.sums.counters.bytes_from_device;
}

static double errors(const struct sample *sample)
{
	return (double)sample->view.sums.counters.errors;
}

static double rejected(const struct sample *sample)
{
	return (double)sample->tenant->usage.refusals;
}

static double gpu_seconds(const struct sample *sample)
{
	return (double)sample->view.used_ns / 1e9;
}

static double weight(const struct sample *sample)
{
	return sample->tenant->settings.weight;
}

static double entitlement(const struct sample *sample)
{
	return sample->view.entitlement;
}

static double share(const struct sample *sample)
{
	return sample->tenant->usage.share;
}

static double waiting(const struct sample *sample)
{
	return sample->view.is_waiting;
}

static double in_flight(const struct sample *sample)
{
	return (double)sample->view.in_flight;
}

static double p95(const struct sample *sample)
{
	return usage_wait_quantile(&sample->tenant->usage.waits, 0.95) * 1e6;
}

static double p99(const struct sample *sample)
{
	return usage_wait_quantile(&sample->tenant->usage.waits, 0.99) * 1e6;
}

static double programs(const struct sample *sample)
{
	return sample->tenant->processes;
}

static double memory(const struct sample *sample)
{
	return (double)sample->view.memory_bytes;
}

static double memory_limit(const struct sample *sample)
{
	return (double)sample->tenant->settings.limits.memory_bytes;
}

static double pinned(const struct sample *sample)
{
	return (double)sample->view.pinned_bytes;
}

static double pinned_limit(const struct sample *sample)
{
	return (double)sample->tenant->settings.limits.pinned_bytes;
}

static double host_memory(const struct sample *sample)
{
	return (double)executor_group_memory(&sample->tenant->group);
}

static double host_memory_limit(const struct sample *sample)
{
	return sample->tenant->group.folder < 0 ? 0 : (double)sample->tenant->settings.host.memory_bytes;
}

static double memory_kills(const struct sample *sample)
{
	return (double)sample->tenant->group_kills;
}

static double handles(const struct sample *sample)
{
	return (double)sample->view.handles;
}

static double delays(const struct sample *sample)
{
	return (double)sample->view.sums.delays;
}

static double delay_seconds(const struct sample *sample)
{
	return (double)sample->view.sums.delay_ns / 1e9;
}

static double faults(const struct sample *sample)
{
	return (double)sample->tenant->faults_in_all;
}

static double quarantines(const struct sample *sample)
{
	return (double)sample->tenant->quarantines;
}

static double quarantined(const struct sample *sample)
{
	return sample->tenant->quarantined_until != 0;
}

static double starts(const struct sample *sample)
{
	return (double)sample->tenant->usage.starts;
}

static double deaths(const struct sample *sample)
{
	return (double)sample->tenant->usage.deaths;
}

static const struct {
	const char *name;
	const char *type;
	const char *help;
	figure *value;
} families[] = {
	{"vgpu_vm_jobs_total", "counter", "Commands.", jobs},
	{"vgpu_vm_launches_total", "counter", "Kernels that it launched.", launches},
	{"vgpu_vm_launches_chained_total", "counter", "Kernels of these that the driver was given in graphs.",
	 launches_chained},
	{"vgpu_vm_bytes_to_device_total", "counter", "Bytes copied to the device.", bytes_to},
	{"vgpu_vm_bytes_from_device_total", "counter", "Bytes copied from the device.", bytes_from},
	{"vgpu_vm_errors_total", "counter", "Commands that the driver answered with an error.", errors},
	{"vgpu_vm_rejected_total", "counter", "Programs that were refused.", rejected},
	{"vgpu_vm_gpu_seconds_total", "counter", "GPU time that it was charged while others were there.", gpu_seconds},
	{"vgpu_vm_weight", "gauge", "Its weight.", weight},
	{"vgpu_vm_entitlement_ratio", "gauge", "Its weight in those of its priority on its GPU.", entitlement},
	{"vgpu_vm_share_ratio", "gauge",
	 "Its part of the GPU time that was charged between the last heartbeats; NaN: none was.", share},
	{"vgpu_vm_waiting", "gauge", "1 if it waits for the GPU.", waiting},
	{"vgpu_vm_in_flight", "gauge", "Commands that the GPU has of it.", in_flight},
	{"vgpu_vm_latency_p95_us", "gauge", "Time that it waited for the GPU, 95th percentile, from the histogram.",
	 p95},
	{"vgpu_vm_latency_p99_us", "gauge", "Time that it waited for the GPU, 99th percentile, from the histogram.",
	 p99},
	{"vgpu_vm_programs", "gauge", "Programs that are running.", programs},
	{"vgpu_vm_memory_bytes", "gauge", "Device memory that it has.", memory},
	{"vgpu_vm_memory_limit_bytes", "gauge", "Device memory that it may have; 0: no limit.", memory_limit},
	{"vgpu_vm_pinned_bytes", "gauge", "Pinned host memory that it has.", pinned},
	{"vgpu_vm_pinned_limit_bytes", "gauge", "Pinned host memory that it may have; 0: no limit.", pinned_limit},
	{"vgpu_vm_host_memory_bytes", "gauge", "Host memory of its executors' control group; 0: there is none.",
	 host_memory},
	{"vgpu_vm_host_memory_limit_bytes", "gauge", "What that may be; 0: no limit.", host_memory_limit},
	{"vgpu_vm_memory_kills_total", "counter",
	 "Executors that the kernel has killed for want of host memory, here or at a worker.", memory_kills},
	{"vgpu_vm_handles", "gauge", "Objects of its programs.", handles},
	{"vgpu_vm_delays_total", "counter", "Delays by its limits of rates.", delays},
	{"vgpu_vm_delay_seconds_total", "counter", "Time of these delays.", delay_seconds},
	{"vgpu_vm_faults_total", "counter", "Faults of its programs.", faults},
	{"vgpu_vm_quarantines_total", "counter", "Quarantines that began.", quarantines},
	{"vgpu_vm_quarantined", "gauge", "1 if its programs are refused.", quarantined},
	{"vgpu_vm_executor_starts_total", "counter", "Executors that were started.", starts},
	{"vgpu_vm_executor_deaths_total", "counter", "Executors that ended without being asked to.", deaths},
};

static void info_write(const struct mediator *mediator, const struct sample *sample, struct evbuffer *output)
{
	static const char *const priorities[] = {"low", "medium", "high"};
	const struct tenant *tenant = sample->tenant;
	char pool[2] = {(char)tenant_pool(tenant), '\0'};
	char name[METRICS_LABEL_BYTES];
	char uuid[METRICS_LABEL_BYTES];
	const struct session *session;
	struct store_tenant stored;
	const char *told = "";

	if (store_tenant_get(mediator->store, tenant->name, &stored) != STORE_DONE)
		store_tenant_init(&stored, tenant->name);
	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (session->tenant == tenant && session->kind == SESSION_DEVICE)
			told = session->name;
	}
	metrics_label(name, sizeof(name), stored.name[0] ? stored.name : told);
	metrics_label(uuid, sizeof(uuid), stored.uuid);
	evbuffer_add_printf(output, "vgpu_vm_info{%s,name=\"%s\",uuid=\"%s\",pool=\"%s\",priority=\"%s\"} 1\n",
			    sample->labels, name, uuid, pool, priorities[tenant->settings.priority % 3]);
}

static void sample_take(const struct mediator *mediator, const struct tenant *tenant, struct sample *sample)
{
	char name[METRICS_LABEL_BYTES];

	metrics_label(name, sizeof(name), tenant->name);
	sample->tenant = tenant;
	sample->view = usage_look(mediator, tenant);
	snprintf(sample->labels, sizeof(sample->labels), "tenant=\"%s\",vm_id=\"%u\"", name,
		 tenant->key.kind == TENANT_VM ? tenant->key.id : 0);
}

int metrics_tenants_write(const struct mediator *mediator, struct evbuffer *output)
{
	const struct tenant *tenant;
	struct sample *samples;
	size_t there = 0;
	size_t count = 0;

	LIST_FOREACH(tenant, &mediator->tenants, link)
	there++;
	samples = calloc(there ? there : 1, sizeof(*samples));
	if (!samples)
		return -1;
	LIST_FOREACH(tenant, &mediator->tenants, link)
	{
		if (count == METRICS_TENANTS_MAX)
			break;
		sample_take(mediator, tenant, &samples[count++]);
	}
	metrics_head(output, "vgpu_tenants_omitted", "gauge", "Tenants beyond those that have samples.");
	evbuffer_add_printf(output, "vgpu_tenants_omitted %zu\n", there - count);
	metrics_head(output, "vgpu_vm_info", "gauge", "What a tenant is called, and where it belongs.");
	for (size_t i = 0; i < count; i++)
		info_write(mediator, &samples[i], output);
	for (size_t family = 0; family < sizeof(families) / sizeof(families[0]); family++) {
		metrics_head(output, families[family].name, families[family].type, families[family].help);
		for (size_t i = 0; i < count; i++)
			metrics_value_write(output, families[family].name, samples[i].labels,
					    families[family].value(&samples[i]));
	}
	metrics_head(output, "vgpu_vm_wait_seconds", "histogram", "Time that it waited until it was given the GPU.");
	for (size_t i = 0; i < count; i++)
		metrics_waits_write(output, "vgpu_vm_wait_seconds", samples[i].labels, &samples[i].tenant->usage.waits);
	metrics_head(output, "vgpu_vm_call_seconds", "histogram",
		     "Time that its calls took on the host, a wait for the GPU included where the program waits.");
	for (size_t i = 0; i < count; i++)
		latency_write(output, "vgpu_vm_call_seconds", samples[i].labels,
			      samples[i].view.sums.counters.latencies);
	free(samples);
	return 0;
}
