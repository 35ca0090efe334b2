/* SPDX-License-Identifier: Apache-2.0 */
/* Families that have a sample for each pool. */
#include <event2/buffer.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "channel.h"
#include "latency.h"
#include "mediator.h"
#include "metrics.h"
#include "metrics_private.h"
#include "scheduler.h"
#include "tenant.h"

/* What is said of each pool. */
struct pool_figures {
	double jobs;
	double launches;
	double bytes_to_device;
	double bytes_from_device;
	double errors;
	double refusals;
	double starts;
	double deaths;
	double gpu_seconds;
	double share;
	double entitlement;
	double memory;
	double memory_limit; /* 0: one of its tenants may have all memory that there is */
	double quarantines;
	double quarantined;
	double programs;
};

#define FIGURE(member) offsetof(struct pool_figures, member)

static const struct {
	const char *name;
	const char *type;
	const char *help;
	size_t figure;
} pool_families[] = {
	{"vgpu_pool_jobs_total", "counter", "Commands of the pool's programs.", FIGURE(jobs)},
	{"vgpu_pool_launches_total", "counter", "Kernels that they launched.", FIGURE(launches)},
	{"vgpu_pool_bytes_to_device_total", "counter", "Bytes copied to the device.", FIGURE(bytes_to_device)},
	{"vgpu_pool_bytes_from_device_total", "counter", "Bytes copied from the device.", FIGURE(bytes_from_device)},
	{"vgpu_pool_errors_total", "counter", "Commands that failed.", FIGURE(errors)},
	{"vgpu_pool_rejected_total", "counter", "Programs that were refused.", FIGURE(refusals)},
	{"vgpu_pool_executor_starts_total", "counter", "Executors that were started.", FIGURE(starts)},
	{"vgpu_pool_executor_deaths_total", "counter", "Executors that ended without being asked to.", FIGURE(deaths)},
	{"vgpu_pool_gpu_seconds_total", "counter", "GPU time that was charged while others were there.",
	 FIGURE(gpu_seconds)},
	{"vgpu_pool_share_ratio", "gauge",
	 "Its part of the GPU time that was charged between the last heartbeats; NaN: none was.", FIGURE(share)},
	{"vgpu_pool_entitlement_ratio", "gauge",
	 "Its tenants' entitlements in those of all tenants; NaN: nobody has one.", FIGURE(entitlement)},
	{"vgpu_pool_memory_bytes", "gauge", "Device memory that they have.", FIGURE(memory)},
	{"vgpu_pool_memory_limit_bytes", "gauge",
	 "Device memory that its tenants may have together; 0: one of them has no limit.", FIGURE(memory_limit)},
	{"vgpu_pool_quarantines_total", "counter", "Quarantines of its tenants that began.", FIGURE(quarantines)},
	{"vgpu_pool_quarantined", "gauge", "Its tenants that are there and whose programs are refused.",
	 FIGURE(quarantined)},
	{"vgpu_pool_programs", "gauge", "Programs that are running.", FIGURE(programs)},
};

static void tenants_add(const struct mediator *mediator, struct pool_figures figures[POOL_COUNT], uint32_t *letters)
{
	const struct tenant *tenant;
	uint32_t unlimited = 0;
	double entitlements = 0;

	LIST_FOREACH(tenant, &mediator->tenants, link)
	{
		uint32_t pool = tenant_pool(tenant) - 'A';
		double entitlement = scheduler_look(mediator, tenant).entitlement;

		if (pool >= POOL_COUNT)
			continue;
		*letters |= 1u << pool;
		entitlements += entitlement;
		figures[pool].entitlement += entitlement;
		figures[pool].memory_limit += (double)tenant->settings.limits.memory_bytes;
		if (!tenant->settings.limits.memory_bytes)
			unlimited |= 1u << pool;
		figures[pool].quarantined += tenant->quarantined_until != 0;
	}
	for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
		figures[pool].entitlement = entitlements > 0 ? figures[pool].entitlement / entitlements : (double)NAN;
		if ((unlimited & 1u << pool) != 0)
			figures[pool].memory_limit = 0;
	}
}

/* The pools that there is something to say of, a bit for each. */
static uint32_t figures_take(const struct mediator *mediator, const struct vgpu_executor_counters sums[POOL_COUNT],
			     struct pool_figures figures[POOL_COUNT])
{
	const struct counters *counters = &mediator->counters;
	uint32_t letters = counters->pools_seen | 3;
	const struct channel *channel;
	double lately_ns = 0;

	LIST_FOREACH(channel, &mediator->channels, link)
	{
		letters |= 1u << (channel->pool_id - 'A');
		figures[channel->pool_id - 'A'].programs++;
	}
	tenants_add(mediator, figures, &letters);
	for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
		if (counters->refusals[pool] || counters->starts[pool] || counters->quarantines_of[pool])
			letters |= 1u << pool;
		figures[pool].jobs = (double)sums[pool].calls;
		figures[pool].launches = (double)sums[pool].launches;
		figures[pool].bytes_to_device = (double)sums[pool].bytes_to_device;
		figures[pool].bytes_from_device = (double)sums[pool].bytes_from_device;
		figures[pool].errors = (double)sums[pool].errors;
		figures[pool].memory = (double)sums[pool].memory_bytes;
		figures[pool].refusals = (double)counters->refusals[pool];
		figures[pool].starts = (double)counters->starts[pool];
		figures[pool].gpu_seconds = (double)counters->gpu_ns[pool] / 1e9;
		figures[pool].deaths = (double)counters->deaths[pool];
		figures[pool].quarantines = (double)counters->quarantines_of[pool];
		figures[pool].share = (double)counters->gpu_lately_ns[pool];
		lately_ns += figures[pool].share;
	}
	for (uint32_t pool = 0; pool < POOL_COUNT; pool++)
		figures[pool].share = lately_ns > 0 ? figures[pool].share / lately_ns : (double)NAN;
	return letters;
}

void metrics_pools_write(const struct mediator *mediator, struct evbuffer *output)
{
	struct vgpu_executor_counters sums[POOL_COUNT];
	struct pool_figures figures[POOL_COUNT] = {0};
	char label[] = "pool=\"A\"";
	char *letter = label + strlen("pool=\"");
	uint32_t letters;

	for (uint32_t pool = 0; pool < POOL_COUNT; pool++)
		sums[pool] = counters_sum(mediator, 'A' + pool);
	letters = figures_take(mediator, sums, figures);

	for (size_t i = 0; i < sizeof(pool_families) / sizeof(pool_families[0]); i++) {
		metrics_head(output, pool_families[i].name, pool_families[i].type, pool_families[i].help);
		for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
			*letter = (char)('A' + (int)pool);
			if ((letters & 1u << pool) != 0)
				metrics_value_write(
					output, pool_families[i].name, label,
					*(const double *)((const char *)&figures[pool] + pool_families[i].figure));
		}
	}
	metrics_head(output, "vgpu_pool_wait_seconds", "histogram",
		     "Time that its tenants waited until they were given the GPU.");
	for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
		*letter = (char)('A' + (int)pool);
		if ((letters & 1u << pool) != 0)
			metrics_waits_write(output, "vgpu_pool_wait_seconds", label, &mediator->counters.waits[pool]);
	}
	metrics_head(output, "vgpu_pool_call_seconds", "histogram",
		     "Time that their calls took on the host, a wait for the GPU included where a program waits.");
	for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
		*letter = (char)('A' + (int)pool);
		latency_write(output, "vgpu_pool_call_seconds", label, sums[pool].latencies);
	}
}
