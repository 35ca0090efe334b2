/* SPDX-License-Identifier: Apache-2.0 */
#include "schedule_policy.h"

#include <stdio.h>
#include <string.h>

/* The part of an overrun that is forgotten in a turn. */
#define OVERRUN_FADES 8

const struct policy *policy_find(const char *name)
{
	static const struct policy *const policies[] = {&policy_fair, &policy_round_robin, &policy_priority,
							&policy_exclusive};

	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		if (strcmp(policies[i]->name, name) == 0)
			return policies[i];
	}
	return NULL;
}

void policy_queue_init(struct policy_queue *queue, const struct policy *policy, uint64_t slice_ns, uint64_t aging_ns)
{
	*queue = (struct policy_queue){.policy = policy, .slice_ns = slice_ns, .aging_ns = aging_ns};
	LIST_INIT(&queue->tenants);
}

/* By how much it is ahead of the others; not above 0: they have caught up. */
static double debt_left(const struct policy_queue *queue, const struct policy_debt *debt)
{
	return debt->name[0] ? debt->tag - queue->virtual_time[debt->priority] : 0;
}

/* In the place of the smallest. */
static void debt_keep(struct policy_queue *queue, const struct policy_tenant *tenant)
{
	struct policy_debt debt = {.priority = tenant->priority, .tag = tenant->tag};
	struct policy_debt *place = &queue->debts[0];

	if (!queue->policy->has_debts || !tenant->name[0])
		return;
	snprintf(debt.name, sizeof(debt.name), "%s", tenant->name);
	for (unsigned i = 0; i < POLICY_DEBTS_MAX; i++) {
		if (debt_left(queue, &queue->debts[i]) < debt_left(queue, place))
			place = &queue->debts[i];
	}
	if (debt_left(queue, &debt) > 0 && debt_left(queue, &debt) > debt_left(queue, place))
		*place = debt;
}

static void debt_take(struct policy_queue *queue, struct policy_tenant *tenant)
{
	for (unsigned i = 0; i < POLICY_DEBTS_MAX; i++) {
		struct policy_debt *debt = &queue->debts[i];

		if (debt->priority != tenant->priority || !tenant->name[0] || strcmp(debt->name, tenant->name) != 0)
			continue;
		tenant->tag = debt->tag;
		*debt = (struct policy_debt){0};
		return;
	}
}

void policy_tenant_add(struct policy_queue *queue, struct policy_tenant *tenant)
{
	tenant->is_waiting = false;
	tenant->tag = 0;
	debt_take(queue, tenant);
	LIST_INSERT_HEAD(&queue->tenants, tenant, link);
}

void policy_tenant_remove(struct policy_queue *queue, struct policy_tenant *tenant)
{
	debt_keep(queue, tenant);
	LIST_REMOVE(tenant, link);
}

void policy_change(struct policy_queue *queue, const struct policy *policy)
{
	struct policy_tenant *tenant;

	if (queue->policy == policy)
		return;
	queue->policy = policy;
	memset(queue->debts, 0, sizeof(queue->debts));
	LIST_FOREACH(tenant, &queue->tenants, link)
	policy_leave(tenant);
}

void policy_arrive(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t now)
{
	if (tenant->is_waiting)
		return;
	tenant->is_waiting = true;
	tenant->waiting_since_ns = now;
	queue->policy->arrive(queue, tenant);
}

void policy_leave(struct policy_tenant *tenant)
{
	tenant->is_waiting = false;
}

struct policy_tenant *policy_choose(struct policy_queue *queue, uint64_t now)
{
	struct policy_tenant *chosen = queue->policy->choose(queue, now);

	if (chosen)
		chosen->is_waiting = false;
	return chosen;
}

void policy_charge(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t used_ns, uint64_t now)
{
	struct policy_age *age = &queue->ages[tenant->priority];

	age->used_ns += used_ns;
	if (age->used_ns >= queue->slice_ns)
		*age = (struct policy_age){.since_ns = now};
	policy_charge_late(queue, tenant, used_ns, now);
}

void policy_charge_late(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t used_ns, uint64_t now)
{
	tenant->used_ns += used_ns;
	tenant->charged_at_ns = now;
	queue->policy->charge(queue, tenant, used_ns);
}

void policy_pass(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t used_ns)
{
	queue->policy->charge(queue, tenant, used_ns);
}

void policy_turn_end(struct policy_tenant *tenant, uint64_t until_ns, uint64_t now)
{
	uint64_t overrun_ns = until_ns != POLICY_FOREVER && now > until_ns ? now - until_ns : 0;
	uint64_t usual_ns = overrun_ns < tenant->overrun_last_ns ? overrun_ns : tenant->overrun_last_ns;

	/* A turn may end with a kernel by chance: what counts is two in a row, and what is remembered fades. */
	tenant->overrun_last_ns = overrun_ns;
	tenant->overrun_ns -= tenant->overrun_ns / OVERRUN_FADES;
	if (tenant->overrun_ns < usual_ns)
		tenant->overrun_ns = usual_ns;
}

bool policy_is_preempted(const struct policy_queue *queue, const struct policy_tenant *current, uint64_t now)
{
	const struct policy_tenant *tenant;

	LIST_FOREACH(tenant, &queue->tenants, link)
	{
		if (tenant->is_waiting && queue->policy->preempts(queue, current, tenant) &&
		    tenant->priority > queue->policy->rank(queue, current, now))
			return true;
	}
	return false;
}

void policy_order_arrive(struct policy_queue *queue, struct policy_tenant *tenant)
{
	tenant->tag = queue->next_order++;
}

struct policy_tenant *policy_order_choose(struct policy_queue *queue, uint64_t now)
{
	struct policy_tenant *first = NULL;
	struct policy_tenant *tenant;

	(void)now;
	LIST_FOREACH(tenant, &queue->tenants, link)
	{
		if (tenant->is_waiting && (!first || tenant->tag < first->tag))
			first = tenant;
	}
	return first;
}

void policy_charge_nothing(struct policy_queue *queue, struct policy_tenant *tenant, uint64_t used_ns)
{
	(void)queue;
	(void)tenant;
	(void)used_ns;
}

uint64_t policy_slice_fixed(const struct policy_queue *queue, const struct policy_tenant *tenant, uint64_t charged_ns)
{
	(void)tenant;
	(void)charged_ns;
	return queue->slice_ns;
}

bool policy_preempts_by_class(const struct policy_queue *queue, const struct policy_tenant *current,
			      const struct policy_tenant *waiting)
{
	(void)queue;
	return waiting->priority > current->priority;
}

bool policy_preempts_never(const struct policy_queue *queue, const struct policy_tenant *current,
			   const struct policy_tenant *waiting)
{
	(void)queue;
	(void)current;
	(void)waiting;
	return false;
}

uint32_t policy_rank_class(const struct policy_queue *queue, const struct policy_tenant *tenant, uint64_t now)
{
	(void)queue;
	(void)now;
	return tenant->priority;
}
