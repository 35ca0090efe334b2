/* SPDX-License-Identifier: Apache-2.0 */
/* Turns of one slice in the order of arrival, whatever the weights and classes. */
#include "schedule_policy.h"

const struct policy policy_round_robin = {
	.name = "round-robin",
	.arrive = policy_order_arrive,
	.choose = policy_order_choose,
	.charge = policy_charge_nothing,
	.slice = policy_slice_fixed,
	.preempts = policy_preempts_never,
	.rank = policy_rank_class,
};
