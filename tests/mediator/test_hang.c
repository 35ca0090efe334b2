/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hang.h"

#define LIMIT_MS 1000

static const int one, two;

static struct hang_look look_begin(uint64_t now_ms)
{
	return (struct hang_look){.now_ms = now_ms, .limit_ms = LIMIT_MS};
}

/* All of them are seen now. */
static uint32_t judge(const struct hang_look *look, const void *tenant, uint32_t gpus)
{
	uint32_t seen;
	uint32_t hanging = hang_judge(look, tenant, gpus, &seen);

	assert_int_equal(seen, hanging);
	return hanging;
}

static void test_whose_fault_it_is(void **state)
{
	struct hang_look look = look_begin(5000);

	(void)state;
	hang_add(&look, &one, 0x1);
	/* Of one tenant, however many. */
	hang_add(&look, &one, 0x1);
	assert_int_equal(judge(&look, &one, 0x1), 0);
	/* With other GPUs. */
	hang_add(&look, &two, 0x6);
	assert_int_equal(judge(&look, &one, 0x1), 0);
	assert_int_equal(judge(&look, &two, 0x6), 0);
	/* With one of them: whoever is ended then. */
	hang_add(&look, &one, 0x4);
	assert_int_equal(judge(&look, &one, 0x5), 0x4);
	assert_int_equal(judge(&look, &two, 0x6), 0x4);
	/* Wherever it is, as far as is known. */
	assert_int_equal(judge(&look, &one, UINT32_MAX), 0x6);
}

static void test_lately(void **state)
{
	struct hang_look look = look_begin(5000);
	uint32_t seen;

	(void)state;
	look.recent = 0x6;
	hang_add(&look, &one, 0x3);
	/* It is excused, and none later for that. */
	assert_int_equal(hang_judge(&look, &one, 0x3, &seen), 0x2);
	assert_int_equal(seen, 0);
	assert_int_equal(hang_judge(&look, &one, 0x3, &seen), 0x2);
	/* Another one's is stuck now. */
	hang_add(&look, &two, 0x2);
	assert_int_equal(hang_judge(&look, &one, 0x7, &seen), 0x6);
	assert_int_equal(seen, 0x2);
	assert_false(hang_is_recent(&look, 0));
	assert_true(hang_is_recent(&look, 4000));
	assert_false(hang_is_recent(&look, 3999));
}

static void test_who_counts(void **state)
{
	struct hang_look look = look_begin(5000);
	struct standstill stuck = {.kind = STANDSTILL_STUCK, .since_ms = 4900};
	struct standstill stopped = {.kind = STANDSTILL_STOPPED, .since_ms = 1};
	struct standstill beginning = {.kind = STANDSTILL_STUCK, .since_ms = 4901};

	(void)state;
	assert_true(hang_is_stuck(&look, &stuck, 0));
	assert_false(hang_is_stuck(&look, &stopped, 0));
	assert_false(hang_is_stuck(&look, &beginning, 0));
	/* One that stays for good, although it was ended. */
	stuck.since_ms = 1000;
	assert_true(hang_is_stuck(&look, &stuck, 4000));
	assert_false(hang_is_stuck(&look, &stuck, 3999));
}

/* Each is looked at once, whatever the others are. */
static void test_many(void **state)
{
	static int tenants[1000];
	struct hang_look look = look_begin(5000);

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		hang_add(&look, &tenants[i], 1u << i % 31);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(judge(&look, &tenants[i], 1u << i % 31), 1u << i % 31);
	assert_int_equal(judge(&look, &one, 1u << 31), 0);
}

static void test_what_it_works_with(void **state)
{
	struct vgpu_executor_counters counters = {.calls = 0};
	struct hang_places places = {.count = 0};

	(void)state;
	counters.devices[0].pci_place = 7;
	hang_places_look(&places, &counters);
	assert_int_equal(places.count, 0);
	counters.devices[0].contexts = 1;
	counters.devices[2] = (struct vgpu_executor_device){.contexts = 2, .pci_place = 9};
	counters.devices[3] = (struct vgpu_executor_device){.contexts = 1, .pci_place = UINT32_MAX};
	hang_places_look(&places, &counters);
	assert_int_equal(places.count, 2);
	assert_int_equal(places.places[1], 9);
	counters.devices[0].contexts = 0;
	hang_places_look(&places, &counters);
	assert_int_equal(places.count, 1);
	assert_int_equal(places.places[0], 9);
	/* What it had last. */
	counters.devices[2].contexts = 0;
	hang_places_look(&places, &counters);
	assert_int_equal(places.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whose_fault_it_is),  cmocka_unit_test(test_lately),
		cmocka_unit_test(test_who_counts),	   cmocka_unit_test(test_many),
		cmocka_unit_test(test_what_it_works_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
