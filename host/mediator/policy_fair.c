/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start-time fair queueing (Goyal, Vin, Cheng 1996) by GPU time: a tenant's tag
 * is the virtual time at which its next use starts; the least is served first,
 * and a use of t advances it by t / weight. Who comes back after a pause starts
 * at the present: idle time is not saved up. A program that waits for each of
 * its kernels pauses between any two of them, though; so short a pause counts as
 * none. What a use really took is known
 * after it only, and is then charged in full, so work that cannot be interrupted
 * is paid for by coming later.
 *
 * Classes above each other, with aging: a class of which somebody waits and
 * nobody was served for aging_ns counts as one class higher, so that one of the
 * lowest is served once in 2 * aging_ns at least.
 */
#include "schedule_policy.h"

/* The part of a slice that is a short pause, and that one has who took its chance. */
#define PAUSE_PART 5

/* A bound for a turn, in slices: what is due is by the weights of those who wait now, and weights change. */
#define DUE_SLICES_MAX 32

static void fair_arrive(struct policy_queue *queue, struct policy_tenant *tenant)
{
	double present = queue->virtual_time[tenant->priority];

	if (tenant->tag < present && tenant->waiting_since_ns - tenant->charged_at_ns > queue->slice_ns / PAUSE_PART)
		tenant->tag = present;
}

/* Of those of a class that wait, the one whose use starts first in virtual time. */
static struct policy_tenant *class_first(const struct policy_queue *queue, uint32_t class, uint64_t *ret_since_ns)
{
	struct policy_tenant *first = NULL;
	struct policy_tenant *tenant;

	LIST_FOREACH(tenant, &queue->tenants, link)
	{
		if (!tenant->is_waiting || tenant->priority != class)
			continue;
		if (!first || tenant->waiting_since_ns < *ret_since_ns)
			*ret_since_ns = tenant->waiting_since_ns;
		if (!first || tenant->tag < first->tag)
			first = tenant;
	}
	return first;
}

static struct policy_tenant *fair_choose(struct policy_queue *queue, uint64_t now)
{
	struct policy_tenant *best = NULL;
	uint64_t best_class = 0;

	/* From the lowest: a class that has come as high as another one by age goes before it. */
	for (uint32_t class = 0; class < POLICY_CLASS_COUNT; class ++) {
		uint64_t since_ns = 0;
		struct policy_tenant *first = class_first(queue, class, &since_ns);
		uint64_t effective = class;

		if (!first)
			continue;
		if (since_ns < queue->served_ns[class])
			since_ns = queue->served_ns[class];
		if (queue->aging_ns && now > since_ns)
			effective += (now - since_ns) / queue->aging_ns;
		if (effective >= POLICY_CLASS_COUNT)
			effective = POLICY_CLASS_COUNT - 1;
		if (best && effective <= best_class)
			continue;
		best = first;
		best_class = effective;
	}
	if (!best)
		return NULL;
	queue->served_ns[best->priority] = now;
	if (best->tag > queue->virtual_time[best->priority])
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

/*
 * As long as it stays the one to be chosen. A program that waits for each of its kernels has no work at the very
 * moment at which a slice ends; if its turn ended there, somebody who is not due yet would be served in between.
 * Who was due before, and has come back from a short pause only now, gets the GPU after a part of a slice.
 */
static uint64_t fair_slice(const struct policy_queue *queue, const struct policy_tenant *tenant, uint64_t charged_ns)
{
	double start = tenant->tag - (double)charged_ns / tenant->weight;
	double due_ns = (double)queue->slice_ns * DUE_SLICES_MAX;
	const struct policy_tenant *other;
	bool any_waits = false;

	LIST_FOREACH(other, &queue->tenants, link)
	{
		double until_ns = (other->tag - start) * tenant->weight;

		if (other == tenant || !other->is_waiting || other->priority != tenant->priority)
			continue;
		any_waits = true;
		if (until_ns < due_ns)
			due_ns = until_ns;
	}
	if (any_waits && due_ns < 0)
		return queue->slice_ns / PAUSE_PART;
	if (!any_waits || due_ns < (double)queue->slice_ns)
		return queue->slice_ns;
	return (uint64_t)due_ns;
}

const struct policy policy_fair = {
	.name = "fair",
	.arrive = fair_arrive,
	.choose = fair_choose,
	.charge = fair_charge,
	.slice = fair_slice,
	.preempts = policy_preempts_by_class,
};
