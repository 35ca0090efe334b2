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
 * Classes above each other, with aging: a class that wants the GPU and has not
 * had a slice of it for aging_ns counts as one class higher, so that the lowest has
 * a slice in each 2 * aging_ns and a turn of the others at least. What it gets in
 * pieces, between which higher classes take the GPU from it, does not make it younger
 * before the pieces are a slice.
 *
 * To change tenants costs the GPU time, which is part of the turn that follows. Turns
 * with long kernels are long, so tenants with short kernels, between which turns are a
 * slice, would pay it more often. They wait for such turns anyway: then theirs may be
 * as long, up to where those who wait have come.
 */
#include "schedule_policy.h"

/* The part of a slice that is a short pause, and that one has who took its chance. */
#define PAUSE_PART 5

/* Of the turns of who waits for tenants of more weight, in slices; and of a round in which all have a turn. */
#define LIGHT_SLICES_MAX 3
#define ROUND_SLICES_MAX 32

/* A bound for a turn, in slices: what is due is by the weights of those who wait now, and weights change. */
#define DUE_SLICES_MAX 32

/* Has it come back from more than a short pause? */
static bool has_paused(const struct policy_queue *queue, const struct policy_tenant *tenant)
{
	return tenant->waiting_since_ns > tenant->charged_at_ns + queue->slice_ns / PAUSE_PART;
}

/* Did the class want the GPU before the tenant came, but for what an executor takes to ask again? */
static bool class_goes_on(const struct policy_queue *queue, const struct policy_tenant *tenant)
{
	const struct policy_tenant *other;

	LIST_FOREACH(other, &queue->tenants, link)
	{
		if (other->priority != tenant->priority)
			continue;
		if (other != tenant && other->is_waiting)
			return true;
		if (tenant->waiting_since_ns <= other->charged_at_ns + queue->slice_ns)
			return true;
	}
	return false;
}

static void fair_arrive(struct policy_queue *queue, struct policy_tenant *tenant)
{
	double present = queue->virtual_time[tenant->priority];

	if (tenant->tag < present && has_paused(queue, tenant))
		tenant->tag = present;
	if (!class_goes_on(queue, tenant))
		queue->ages[tenant->priority] = (struct policy_age){.since_ns = tenant->waiting_since_ns};
}

static uint32_t fair_rank(const struct policy_queue *queue, const struct policy_tenant *tenant, uint64_t now)
{
	uint64_t since_ns = queue->ages[tenant->priority].since_ns;
	uint64_t steps = queue->aging_ns && now > since_ns ? (now - since_ns) / queue->aging_ns : 0;

	if (steps >= POLICY_CLASS_COUNT - tenant->priority)
		return POLICY_CLASS_COUNT - 1;
	return tenant->priority + (uint32_t)steps;
}

/* Of those of a class that wait, the one whose use starts first in virtual time. */
static struct policy_tenant *class_first(const struct policy_queue *queue, uint32_t class)
{
	struct policy_tenant *first = NULL;
	struct policy_tenant *tenant;

	LIST_FOREACH(tenant, &queue->tenants, link)
	{
		if (!tenant->is_waiting || tenant->priority != class)
			continue;
		if (!first || tenant->tag < first->tag)
			first = tenant;
	}
	return first;
}

static struct policy_tenant *fair_choose(struct policy_queue *queue, uint64_t now)
{
	struct policy_tenant *best = NULL;
	uint32_t best_rank = 0;

	/* From the lowest: a class that has come as high as another one by age goes before it. */
	for (uint32_t class = 0; class < POLICY_CLASS_COUNT; class ++) {
		struct policy_tenant *first = class_first(queue, class);
		uint32_t rank = first ? fair_rank(queue, first, now) : 0;

		if (!first || (best && rank <= best_rank))
			continue;
		best = first;
		best_rank = rank;
	}
	if (!best)
		return NULL;
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

/* Of the tenant's class, those who wait beside it: how long it may have the GPU until they are due. */
struct due {
	double first_ns;     /* the first one */
	double first_new_ns; /* the first that has come back from a pause */
	double last_ns;	     /* the last one */
	double turn_ns;	     /* the longest of their turns, by the length of kernels */
	double weight;	     /* the largest */
	double weights;	     /* their sum */
	bool any;
	bool any_new; /* has one come back from a pause? */
};

static void due_add(const struct policy_queue *queue, struct due *due, const struct policy_tenant *other,
		    double until_ns)
{
	double turn_ns = (double)(queue->slice_ns + other->overrun_ns);

	if (!due->any || until_ns < due->first_ns)
		due->first_ns = until_ns;
	if (!due->any || until_ns > due->last_ns)
		due->last_ns = until_ns;
	if (!due->any || turn_ns > due->turn_ns)
		due->turn_ns = turn_ns;
	if (other->weight > due->weight)
		due->weight = other->weight;
	due->weights += other->weight;
	due->any = true;
	if (!has_paused(queue, other))
		return;
	due->any_new = true;
	if (until_ns < due->first_new_ns)
		due->first_new_ns = until_ns;
}

static double lesser(double one, double other)
{
	return one < other ? one : other;
}

/*
 * Changing tenants takes as much of a short turn as of a long one, so the one with less weight, whose turns are the
 * short ones, gets less of its share (of 10 to 90 it had 9.2 % of the kernels' time on an H200, where a change takes
 * 0.4 ms). Where all that wait are at work all the time, and few, its turns are longer, and so are the others'.
 */
static double least_turn(const struct policy_queue *queue, const struct policy_tenant *tenant, const struct due *due)
{
	double slices;

	if (!due->any || due->any_new)
		return (double)queue->slice_ns;
	slices = lesser(due->weight / tenant->weight, LIGHT_SLICES_MAX);
	slices = lesser(slices, ROUND_SLICES_MAX * tenant->weight / (tenant->weight + due->weights));
	return (double)queue->slice_ns * (slices < 1 ? 1 : slices);
}

/*
 * As long as it stays the one to be chosen, a slice at least. A program that waits for each of its kernels has no work
 * at the very moment at which a slice ends; if its turn ended there, somebody who is not due yet would be served in
 * between. Who was due before, and has come back from a short pause only now, gets the GPU after a part of a slice.
 * Where others have turns longer than a slice, for their kernels are, one with short kernels goes on to where the last
 * of them is due. Who has paused, or is of a higher class and waits for one that has come by age, does not wait for it.
 */
static uint64_t fair_slice(const struct policy_queue *queue, const struct policy_tenant *tenant, uint64_t charged_ns)
{
	double start = tenant->tag - (double)charged_ns / tenant->weight;
	double most_ns = (double)queue->slice_ns * DUE_SLICES_MAX;
	struct due due = {.first_new_ns = most_ns};
	const struct policy_tenant *other;
	double turn_ns, least_ns;

	LIST_FOREACH(other, &queue->tenants, link)
	{
		if (other == tenant || !other->is_waiting)
			continue;
		if (other->priority > tenant->priority)
			return queue->slice_ns;
		if (other->priority == tenant->priority)
			due_add(queue, &due, other, (other->tag - start) * tenant->weight);
	}
	if (due.any && due.first_ns < 0)
		return queue->slice_ns / PAUSE_PART;
	turn_ns = due.first_ns;
	if (tenant->overrun_ns < queue->slice_ns && lesser(due.last_ns, due.turn_ns) > turn_ns)
		turn_ns = lesser(lesser(due.last_ns, due.turn_ns), due.first_new_ns);
	turn_ns = lesser(turn_ns, most_ns);
	least_ns = least_turn(queue, tenant, &due);
	return (uint64_t)(turn_ns > least_ns ? turn_ns : least_ns);
}

const struct policy policy_fair = {
	.name = "fair",
	.arrive = fair_arrive,
	.choose = fair_choose,
	.charge = fair_charge,
	.slice = fair_slice,
	.preempts = policy_preempts_by_class,
	.rank = fair_rank,
	.has_debts = true,
};
