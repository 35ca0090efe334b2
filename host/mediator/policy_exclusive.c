/* SPDX-License-Identifier: Apache-2.0 */
/* Who has the GPU keeps it until its last process ends; the others wait in the order of arrival. */
#include "schedule_policy.h"

static uint64_t exclusive_slice(const struct policy_queue *queue, const struct policy_tenant *tenant,
				uint64_t charged_ns)
{
	(void)queue;
	(void)tenant;
	(void)charged_ns;
	return POLICY_FOREVER;
}

const struct policy policy_exclusive = {
	.name = "exclusive",
	.arrive = policy_order_arrive,
	.choose = policy_order_choose,
	.charge = policy_charge_nothing,
	.slice = exclusive_slice,
	.preempts = policy_preempts_never,
	.rank = policy_rank_class,
};
