/* SPDX-License-Identifier: Apache-2.0 */
/* The highest class that waits, strictly, without aging; turns in the order of arrival within it. */
#include "schedule_policy.h"

static struct policy_tenant *priority_choose(struct policy_queue *queue, uint64_t now)
{
	struct policy_tenant *best = NULL;
	struct policy_tenant *tenant;

	(void)now;
	LIST_FOREACH(tenant, &queue->tenants, link)
	{
		if (!tenant->is_waiting)
			continue;
		if (!best || tenant->priority > best->priority ||
		    (tenant->priority == best->priority && tenant->tag < best->tag))
			best = tenant;
	}
	return best;
}

const struct policy policy_priority = {
	.name = "priority",
	.arrive = policy_order_arrive,
	.choose = priority_choose,
	.charge = policy_charge_nothing,
	.slice = policy_slice_fixed,
	.preempts = policy_preempts_by_class,
	.rank = policy_rank_class,
};
