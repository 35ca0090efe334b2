/* SPDX-License-Identifier: Apache-2.0 */
/* The fair policy, step by step: what the simulator's sums do not show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "schedule_policy.h"

#define MS	 ((uint64_t)1000000)
#define SLICE_NS (5 * MS)
#define AGING_NS (100 * MS)

enum { LOW, MEDIUM, HIGH };

static struct policy_queue queue;

static int setup(void **state)
{
	(void)state;
	policy_queue_init(&queue, &policy_fair, SLICE_NS, AGING_NS);
	return 0;
}

static void add(struct policy_tenant *tenant, uint32_t class)
{
	*tenant = (struct policy_tenant){.weight = 50, .priority = class};
	policy_tenant_add(&queue, tenant);
}

/* Has the GPU, begun at 'now', for so long, and wants it again. */
static uint64_t turn(struct policy_tenant *tenant, uint64_t now, uint64_t used_ns)
{
	assert_ptr_equal(policy_choose(&queue, now), tenant);
	policy_charge(&queue, tenant, used_ns, now + used_ns);
	policy_arrive(&queue, tenant, now + used_ns);
	return now + used_ns;
}

/* The high one pauses for 0.1 ms in each 50 ms: until it is aged the low one has those, and is no younger for them. */
static void test_pieces_do_not_make_a_class_younger(void **state)
{
	struct policy_tenant high, low;
	uint64_t now = MS;

	(void)state;
	add(&high, HIGH);
	add(&low, LOW);
	policy_arrive(&queue, &low, now);
	policy_arrive(&queue, &high, now);
	for (int i = 0; i < 4; i++) {
		now = turn(&high, now, 50 * MS);
		policy_leave(&high);
		assert_ptr_equal(policy_choose(&queue, now), &low);
		now += MS / 10;
		policy_charge(&queue, &low, MS / 10, now);
		policy_arrive(&queue, &high, now);
		assert_int_equal(policy_is_preempted(&queue, &low, now), i < 3);
		if (i < 3)
			policy_arrive(&queue, &low, now + MS / 2);
	}
	/* Its turn is a slice, with the pieces, after which all is as at first. */
	assert_int_equal(queue.policy->rank(&queue, &low, now), HIGH);
	assert_int_equal(queue.policy->slice(&queue, &low, 0), SLICE_NS);
	policy_charge(&queue, &low, SLICE_NS - 4 * MS / 10, now + SLICE_NS);
	assert_int_equal(queue.policy->rank(&queue, &low, now + SLICE_NS), LOW);
	assert_true(policy_is_preempted(&queue, &low, now + SLICE_NS));
}

/* A kernel without end of one tenant must not keep the others of its class from their turn. */
static void test_what_is_left_behind_does_not_make_a_class_younger(void **state)
{
	struct policy_tenant high, endless, low;
	uint64_t now = MS;

	(void)state;
	add(&high, HIGH);
	add(&endless, LOW);
	add(&low, LOW);
	policy_arrive(&queue, &low, now);
	policy_arrive(&queue, &high, now);
	for (uint64_t i = 0; i < 2 * AGING_NS / SLICE_NS; i++) {
		now = turn(&high, now, SLICE_NS);
		policy_charge_late(&queue, &endless, SLICE_NS, now);
	}
	assert_int_equal(queue.policy->rank(&queue, &low, now), HIGH);
	assert_ptr_equal(policy_choose(&queue, now), &low);
}

static void test_a_class_without_work_does_not_age(void **state)
{
	struct policy_tenant high, low;
	uint64_t now = MS;

	(void)state;
	add(&high, HIGH);
	add(&low, LOW);
	policy_arrive(&queue, &low, now);
	now = turn(&low, now, MS);
	policy_leave(&low);
	policy_arrive(&queue, &high, now);
	now = turn(&high, now, 1000 * MS);
	policy_arrive(&queue, &low, now);
	assert_int_equal(queue.policy->rank(&queue, &low, now), LOW);
	assert_int_equal(queue.policy->rank(&queue, &low, now + AGING_NS), MEDIUM);
	turn(&high, now, MS);
}

static void test_a_turn_by_age_is_a_slice(void **state)
{
	struct policy_tenant high, heavy, light;

	(void)state;
	add(&high, HIGH);
	add(&heavy, LOW);
	add(&light, LOW);
	heavy.weight = 100;
	light.weight = 1;
	light.tag = (double)SLICE_NS;
	policy_arrive(&queue, &heavy, 0);
	policy_arrive(&queue, &light, 0);
	assert_ptr_equal(policy_choose(&queue, 2 * AGING_NS), &heavy);
	assert_true(queue.policy->slice(&queue, &heavy, 0) > 10 * SLICE_NS);
	policy_arrive(&queue, &high, 2 * AGING_NS);
	assert_int_equal(queue.policy->slice(&queue, &heavy, 0), SLICE_NS);
}

/* Two with short kernels, two with kernels of 20 ms, whose turns go on for 15 ms after a slice. */
static void test_turns_are_as_long_as_those_that_are_waited_for(void **state)
{
	struct policy_tenant tenants[4], new;

	(void)state;
	for (int i = 0; i < 4; i++) {
		add(&tenants[i], MEDIUM);
		policy_arrive(&queue, &tenants[i], 0);
		tenants[i].tag = (double)((i < 2 ? 5 : 20) * MS) / 50;
	}
	assert_int_equal(queue.policy->slice(&queue, &tenants[0], 0), SLICE_NS);
	/* Once is no habit. */
	policy_turn_end(&tenants[2], SLICE_NS, 20 * MS);
	assert_int_equal(queue.policy->slice(&queue, &tenants[0], 0), SLICE_NS);
	policy_turn_end(&tenants[2], SLICE_NS, 20 * MS);
	assert_int_equal(tenants[2].overrun_ns, 15 * MS);
	assert_int_equal(queue.policy->slice(&queue, &tenants[0], 0), 15 * MS);
	/* Who has paused does not wait for that. */
	add(&new, MEDIUM);
	policy_arrive(&queue, &new, 50 * MS);
	new.tag = tenants[0].tag;
	assert_int_equal(queue.policy->slice(&queue, &tenants[0], 0), SLICE_NS);
	policy_leave(&new);
	/* With long kernels a turn goes on anyway. */
	tenants[0].overrun_ns = SLICE_NS;
	assert_int_equal(queue.policy->slice(&queue, &tenants[0], 0), SLICE_NS);
	/* One turn that ended late by chance is not remembered for long. */
	for (int i = 0; i < 20; i++)
		policy_turn_end(&tenants[2], SLICE_NS, SLICE_NS);
	assert_true(tenants[2].overrun_ns < 2 * MS);
}

/* It is served later for it; the turns of the others, who have short kernels, stay a slice meanwhile. */
static void test_one_long_kernel_makes_no_turns_longer(void **state)
{
	struct policy_tenant tenants[3];
	uint64_t now = 0;
	unsigned turns = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		add(&tenants[i], MEDIUM);
		policy_arrive(&queue, &tenants[i], 0);
	}
	while (now < 1000 * MS) {
		struct policy_tenant *tenant = policy_choose(&queue, now);
		uint64_t slice = queue.policy->slice(&queue, tenant, 0);
		uint64_t used = slice;

		assert_int_equal(slice, SLICE_NS);
		if (tenant == &tenants[0] && turns++ == 3)
			used = 250 * MS;
		now += used;
		policy_charge(&queue, tenant, used, now);
		policy_turn_end(tenant, now - used + slice, now);
		policy_arrive(&queue, tenant, now);
	}
	assert_true(turns > 5);
}

static void name_add(struct policy_tenant *tenant, const char *name)
{
	*tenant = (struct policy_tenant){.weight = 50, .priority = MEDIUM};
	snprintf(tenant->name, sizeof(tenant->name), "%s", name);
	policy_tenant_add(&queue, tenant);
}

/* Uses so much while the other one, who has as much weight, waits, and leaves. */
static uint64_t use_and_leave(struct policy_tenant *tenant, struct policy_tenant *other, uint64_t now, uint64_t used_ns)
{
	policy_arrive(&queue, other, now);
	policy_charge(&queue, tenant, used_ns, now + used_ns);
	policy_tenant_remove(&queue, tenant);
	return now + used_ns;
}

static void test_debts_outlive_programs(void **state)
{
	struct policy_tenant stays, tenant;
	uint64_t now = 0;

	(void)state;
	name_add(&stays, "vm:1");
	name_add(&tenant, "vm:2");
	now = use_and_leave(&tenant, &stays, now, 100 * MS);
	/* Another one comes at the present. */
	name_add(&tenant, "vm:3");
	policy_arrive(&queue, &tenant, now);
	assert_true(tenant.tag <= stays.tag);
	policy_tenant_remove(&queue, &tenant);
	/* It itself after what it has used more, and only once. */
	name_add(&tenant, "vm:2");
	policy_arrive(&queue, &tenant, now);
	assert_true(tenant.tag == stays.tag + (double)(100 * MS) / 50);
	now = turn(&stays, now, 99 * MS);
	now = turn(&stays, now, 2 * MS);
	assert_ptr_equal(policy_choose(&queue, now), &tenant);
	policy_tenant_remove(&queue, &tenant);
	assert_true(queue.debts[0].name[0] == '\0');
}

/* Whether the others had the GPU in turns or one of them alone. */
static void test_debts_are_paid_by_the_time_of_others(void **state)
{
	struct policy_tenant stays, tenant;
	uint64_t now = 0;

	(void)state;
	name_add(&stays, "vm:1");
	for (int is_alone = 0; is_alone < 2; is_alone++) {
		name_add(&tenant, "vm:2");
		policy_arrive(&queue, &tenant, now);
		now = use_and_leave(&tenant, &stays, now, 100 * MS);
		if (is_alone) {
			policy_leave(&stays);
			policy_pass(&queue, &stays, 101 * MS);
			now += 101 * MS;
		} else {
			now = turn(&stays, now, 101 * MS);
		}
		name_add(&tenant, "vm:2");
		policy_arrive(&queue, &tenant, now);
		assert_true(tenant.tag <= stays.tag);
		policy_tenant_remove(&queue, &tenant);
	}
}

/* The largest of them are kept. */
static void test_debts_are_bounded(void **state)
{
	struct policy_tenant stays, tenant;
	uint64_t now = 0;
	char name[32];

	(void)state;
	name_add(&stays, "vm:0");
	for (unsigned i = 1; i <= 3 * POLICY_DEBTS_MAX; i++) {
		snprintf(name, sizeof(name), "vm:%u", i);
		name_add(&tenant, name);
		policy_arrive(&queue, &tenant, now);
		/* Of three, the middle one has the largest. */
		now = use_and_leave(&tenant, &stays, now, (i % 3 == 2 ? 100 : 50) * MS + i);
	}
	for (unsigned i = 1; i <= 3 * POLICY_DEBTS_MAX; i++) {
		snprintf(name, sizeof(name), "vm:%u", i);
		name_add(&tenant, name);
		policy_arrive(&queue, &tenant, now);
		assert_int_equal(tenant.tag > stays.tag, i % 3 == 2);
		policy_tenant_remove(&queue, &tenant);
	}
}

static void test_debts_mean_nothing_to_another_policy(void **state)
{
	struct policy_tenant stays, tenant;
	uint64_t now;

	(void)state;
	name_add(&stays, "vm:1");
	name_add(&tenant, "vm:2");
	now = use_and_leave(&tenant, &stays, 0, 100 * MS);
	policy_change(&queue, &policy_round_robin);
	policy_change(&queue, &policy_fair);
	name_add(&tenant, "vm:2");
	policy_arrive(&queue, &tenant, now);
	assert_true(tenant.tag <= stays.tag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_pieces_do_not_make_a_class_younger, setup),
		cmocka_unit_test_setup(test_what_is_left_behind_does_not_make_a_class_younger, setup),
		cmocka_unit_test_setup(test_a_class_without_work_does_not_age, setup),
		cmocka_unit_test_setup(test_a_turn_by_age_is_a_slice, setup),
		cmocka_unit_test_setup(test_turns_are_as_long_as_those_that_are_waited_for, setup),
		cmocka_unit_test_setup(test_one_long_kernel_makes_no_turns_longer, setup),
		cmocka_unit_test_setup(test_debts_outlive_programs, setup),
		cmocka_unit_test_setup(test_debts_are_paid_by_the_time_of_others, setup),
		cmocka_unit_test_setup(test_debts_are_bounded, setup),
		cmocka_unit_test_setup(test_debts_mean_nothing_to_another_policy, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
