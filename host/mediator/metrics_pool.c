/* SPDX-License-Identifier: Apache-2.0 */
/* Families that have a sample for each pool. */
#include <event2/buffer.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "channel.h"
#include "latency.h"
#include "mediator.h"
#include "metrics.h"
#include "metrics_private.h"
#include "scheduler.h"
#include "tenant.h"

/* What is counted for each pool. */
struct pool_figures {
	struct vgpu_executor_counters counters;
	double programs;
	double refusals;
	double starts;
	double deaths;
	double quarantines;
	double quarantined;
	double gpu_seconds;
	double share;
	double entitlement;
	double memory_limit;
	bool has_unlimited; /* one of its tenants may have all memory that there is */
};

static double pool_jobs(const struct pool_figures *pool)
{
	return (double)pool->counters.calls;
}

static double pool_launches(const struct pool_figures *pool)
{
	return (double)pool->counters.launches;
}

static double pool_bytes_to(const struct pool_figures *pool)
{
	return (double)pool->counters.bytes_to_device;
}

static double pool_bytes_from(const struct pool_figures *pool)
{
	return (double)pool->counters.bytes_from_device;
}

static double pool_errors(const struct pool_figures *pool)
{
	return (double)pool->counters.errors;
}

static double pool_memory(const struct pool_figures *pool)
{
	return (double)pool->counters.memory_bytes;
}

static double pool_programs(const struct pool_figures *pool)
{
	return pool->programs;
}

static double pool_refusals(const struct pool_figures *pool)
{
	return pool->refusals;
}

static double pool_starts(const struct pool_figures *pool)
{
	return pool->starts;
}

static double pool_deaths(const struct pool_figures *pool)
{
	return pool->deaths;
}

static double pool_gpu_seconds(const struct pool_figures *pool)
{
	return pool->gpu_seconds;
}

static double pool_share(const struct pool_figures *pool)
{
	return pool->share;
}

static double pool_entitlement(const struct pool_figures *pool)
{
	return pool->entitlement;
}

static double pool_memory_limit(const struct pool_figures *pool)
{
	return pool->has_unlimited ? 0 : pool->memory_limit;
}

static double pool_quarantines(const struct pool_figures *pool)
{
	return pool->quarantines;
}

static double pool_quarantined(const struct pool_figures *pool)
{
	return pool->quarantined;
}

static const struct {
	const char *name;
	const char *type;
	const char *help;
	double (*value)(const struct pool_figures *pool);
} pool_families[] = {
	{"vgpu_pool_jobs_total", "counter", "Commands of the pool's programs.", pool_jobs},
	{"vgpu_pool_launches_total", "counter", "Kernels that they launched.", pool_launches},
	{"vgpu_pool_bytes_to_device_total", "counter", "Bytes copied to the device.", pool_bytes_to},
	{"vgpu_pool_bytes_from_device_total", "counter", "Bytes copied from the device.", pool_bytes_from},
	{"vgpu_pool_errors_total", "counter", "Commands that failed.", pool_errors},
	{"vgpu_pool_rejected_total", "counter", "Programs that were refused.", pool_refusals},
	{"vgpu_pool_executor_starts_total", "counter", "Executors that were started.", pool_starts},
	{"vgpu_pool_executor_deaths_total", "counter", "Executors that ended without being asked to.", pool_deaths},
	{"vgpu_pool_gpu_seconds_total", "counter", "GPU time that was charged while others were there.",
	 pool_gpu_seconds},
	{"vgpu_pool_share_ratio", "gauge",
	 "Its part of the GPU time that was charged between the last heartbeats; NaN: none was.", pool_share},
	{"vgpu_pool_entitlement_ratio", "gauge",
	 "Its tenants' entitlements in those of all tenants; NaN: nobody has one.", pool_entitlement},
	{"vgpu_pool_memory_bytes", "gauge", "Device memory that they have.", pool_memory},
	{"vgpu_pool_memory_limit_bytes", "gauge",
	 "Device memory that its tenants may have together; 0: one of them has no limit.", pool_memory_limit},
	{"vgpu_pool_quarantines_total", "counter", "Quarantines of its tenants that began.", pool_quarantines},
	{"vgpu_pool_quarantined", "gauge", "Its tenants that are there and whose programs are refused.",
	 pool_quarantined},
	{"vgpu_pool_programs", "gauge", "Programs that are running.", pool_programs},
};

static void tenants_add(const struct mediator *mediator, struct pool_figures figures[POOL_COUNT], uint32_t *letters)
{
	const struct tenant *tenant;
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
		figures[pool].has_unlimited |= !tenant->settings.limits.memory_bytes;
		figures[pool].quarantined += tenant->quarantined_until != 0;
	}
	for (uint32_t pool = 0; pool < POOL_COUNT; pool++)
		figures[pool].entitlement = entitlements > 0 ? figures[pool].entitlement / entitlements : (double)NAN;
}

/* The pools that there is something to say of, a bit for each. */
static uint32_t figures_take(const struct mediator *mediator, struct pool_figures figures[POOL_COUNT])
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
		figures[pool].counters = counters_sum(mediator, 'A' + pool);
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
	struct pool_figures figures[POOL_COUNT] = {0};
	uint32_t letters = figures_take(mediator, figures);
	char label[] = "pool=\"A\"";
	char *letter = label + strlen("pool=\"");

	for (size_t i = 0; i < sizeof(pool_families) / sizeof(pool_families[0]); i++) {
		metrics_head(output, pool_families[i].name, pool_families[i].type, pool_families[i].help);
		for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
			*letter = (char)('A' + (int)pool);
			if ((letters & 1u << pool) != 0)
				metrics_value_write(output, pool_families[i].name, label,
						    pool_families[i].value(&figures[pool]));
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
		latency_write(output, "vgpu_pool_call_seconds", label, figures[pool].counters.latencies);
	}
}
