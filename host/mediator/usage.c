/* SPDX-License-Identifier: Apache-2.0 */
#include "usage.h"

#include <inttypes.h>
#include <math.h>

#include "channel.h"
#include "mediator.h"
#include "scheduler.h"
#include "tenant.h"
#include "vgpu_schedule.h"

const double usage_wait_bounds[USAGE_WAIT_BUCKETS] = {0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01,
						      0.025,  0.05,   0.1,   0.25,   1,	    5};

void usage_init(struct usage *usage)
{
	*usage = (struct usage){.slow_log = LOG_LIMIT(0.1, 3), .share = (double)NAN};
}

static const volatile struct vgpu_executor_schedule *claims_of(const struct counters_page *page)
{
	return (const volatile void *)((const volatile char *)page->values + VGPU_SCHEDULE_OFFSET);
}

static void sums_add(struct usage_sums *sums, const struct counters_page *page)
{
	struct vgpu_executor_counters values = counters_page_read(page);

	if (!page->values)
		return;
	counters_add(&sums->counters, &values);
	sums->delays += claims_of(page)->delays;
	sums->delay_ns += claims_of(page)->delay_ns;
}

void usage_retire(struct usage *usage, const struct counters_page *page)
{
	sums_add(&usage->gone, page);
}

static void wait_add(struct usage_waits *waits, uint64_t wait_ns)
{
	unsigned bucket = 0;

	while (bucket < USAGE_WAIT_BUCKETS && (double)wait_ns > usage_wait_bounds[bucket] * 1e9)
		bucket++;
	if (bucket < USAGE_WAIT_BUCKETS)
		waits->buckets[bucket]++;
	waits->count++;
	waits->sum_ns += wait_ns;
}

void usage_wait_note(struct tenant *tenant, unsigned gpu, uint64_t wait_ns)
{
	unsigned slow_ms = tenant->mediator->configuration.slow_wait_ms;
	uint32_t pool = tenant_pool(tenant) - 'A';

	wait_add(&tenant->usage.waits, wait_ns);
	if (pool < POOL_COUNT)
		wait_add(&tenant->mediator->counters.waits[pool], wait_ns);
	if (slow_ms && wait_ns > slow_ms * 1000000ull)
		log_write_limited(&tenant->usage.slow_log, LOG_LEVEL_WARNING,
				  "[SLOW] %s waited %" PRIu64 " ms for GPU %u", tenant->label, wait_ns / 1000000, gpu);
}

double usage_wait_quantile(const struct usage_waits *waits, double part)
{
	double rank = part * (double)waits->count;
	double below = 0;

	if (!waits->count)
		return 0;
	for (unsigned i = 0; i < USAGE_WAIT_BUCKETS; i++) {
		double count = (double)waits->buckets[i];
		double start = i ? usage_wait_bounds[i - 1] : 0;

		if (count > 0 && below + count >= rank)
			return start + (usage_wait_bounds[i] - start) * (rank - below) / count;
		below += count;
	}
	return usage_wait_bounds[USAGE_WAIT_BUCKETS - 1];
}

void usage_shares_take(struct mediator *mediator)
{
	struct counters *counters = &mediator->counters;
	struct tenant *tenant;
	double sum = 0;

	LIST_FOREACH(tenant, &mediator->tenants, link)
	{
		uint64_t used_ns = scheduler_used_ns(mediator, tenant);

		tenant->usage.share = (double)(used_ns - tenant->usage.used_before_ns);
		tenant->usage.used_before_ns = used_ns;
		sum += tenant->usage.share;
	}
	LIST_FOREACH(tenant, &mediator->tenants, link)
	tenant->usage.share = sum > 0 ? tenant->usage.share / sum : (double)NAN;
	for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
		counters->gpu_lately_ns[pool] = counters->gpu_ns[pool] - counters->gpu_before_ns[pool];
		counters->gpu_before_ns[pool] = counters->gpu_ns[pool];
	}
}

struct usage_view usage_look(const struct mediator *mediator, const struct tenant *tenant)
{
	struct usage_view view = {
		.sums = tenant->usage.gone,
		.memory_bytes = __atomic_load_n(&tenant->page->memory_bytes, __ATOMIC_RELAXED),
		.pinned_bytes = __atomic_load_n(&tenant->page->pinned_bytes, __ATOMIC_RELAXED),
		.handles = __atomic_load_n(&tenant->page->handles, __ATOMIC_RELAXED),
		.used_ns = scheduler_used_ns(mediator, tenant),
	};
	struct scheduler_view schedule = scheduler_look(mediator, tenant);
	const struct channel *channel;

	LIST_FOREACH(channel, &mediator->channels, link)
	{
		if (channel->request.tenant != tenant || !channel->counters.values)
			continue;
		sums_add(&view.sums, &channel->counters);
		view.in_flight += claims_of(&channel->counters)->in_flight;
	}
	view.is_waiting = schedule.is_waiting;
	view.has_gpu = schedule.has_gpu;
	view.entitlement = schedule.entitlement;
	return view;
}
