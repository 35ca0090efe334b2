/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start-time fair queueing (Goyal, Vin, Cheng 1996) by GPU time: a tenant's tag
 * is the virtual time at which its next use starts; the least is served first,
 * and a use of t advances it by t / weight. Who comes back after a pause starts
 * at the present: idle time is not saved up. What a use really took is known
 * after it only, and is then charged in full, so work that cannot be interrupted
 * is paid for by coming later.
 *
 * Classes above each other, with aging: who has waited for aging_ns counts one
 * class higher, so that the lowest is served once in 2 * aging_ns at worst for
 * each of those that wait with it.
 */
#include "schedule_policy.h"

static void fair_arrive(struct policy_queue *queue, struct policy_tenant *tenant)
{
	double now = queue->virtual_time[tenant->priority];

	if (tenant->tag < now)
		tenant->tag = now;
}

static struct policy_tenant *fair_choose(struct policy_queue *queue, uint64_t now)
{
	struct policy_tenant *best = NULL;
	struct policy_tenant *tenant;
	uint32_t best_class = 0;

	LIST_FOREACH(tenant, &queue->tenants, link)
	{
		uint32_t class = policy_class(queue, tenant, now);
		bool is_better;

		if (!tenant->is_waiting)
			continue;
		if (!best || class != best_class)
			is_better = !best || class > best_class;
		else if (tenant->priority != best->priority)
			/* Raised by age: it has waited for longer than any of this class should. */
			is_better = tenant->priority < best->priority;
		else
			is_better = tenant->tag < best->tag;
		if (!is_better)
			continue;
		best = tenant;
		best_class = class;
	}
	if (best && best->tag > queue->virtual_time[best->priority])
		queue->virtual_time[best->priority] = best->tag;
	return best;
}

/* The present is the least start of those that have work; the one that is charged may have more. */
static void fair_charge(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t used_ns)
{
	double *present = &queue->virtual_time[tenant->priority];
	const struct policy_tenant *other;
	double least;

	tenant->tag += (double)used_ns / tenant->weight;
	least = tenant->tag;
	LIST_FOREACH(other, &queue->tenants, link)
	{
		if (other->is_waiting && other->priority == tenant->priority && other->tag < least)
			least = other->tag;
	}
	if (*present < least)
		*present = least;
}

const struct policy policy_fair = {
	.name = "fair",
	.arrive = fair_arrive,
	.choose = fair_choose,
	.charge = fair_charge,
	.slice = policy_slice_fixed,
	.preempts = policy_preempts_by_class,
};
