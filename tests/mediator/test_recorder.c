/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin_private.h"
#include "mediator.h"
#include "recorder.h"
#include "scheduler.h"
#include "tenant.h"

#define TURNS	    100000
#define TENANTS	    1000
#define PIECE_BYTES 400000 /* of the answer */

static uint64_t now;

uint64_t scheduler_now(void)
{
	return now;
}

struct tenant *tenant_find(const struct mediator *mediator, const char *name)
{
	(void)mediator;
	(void)name;
	return NULL;
}

const char *admin_priority_name(int64_t priority)
{
	(void)priority;
	return "";
}

json_t *admin_string(const char *text)
{
	return json_string(text);
}

static void a_recording_is_taken_in_small_pieces(void **state)
{
	struct mediator *mediator = calloc(1, sizeof(*mediator));
	struct tenant *tenant = calloc(1, sizeof(*tenant));
	size_t counts[TENANTS] = {0};
	size_t total = 0;
	bool is_more = true;
	uint64_t number;

	(void)state;
	assert_non_null(mediator);
	assert_non_null(tenant);
	now = 1000000000;
	number = recorder_begin(mediator, 10);
	assert_true(number != 0);
	for (unsigned i = 0; i < TURNS + 1; i++) {
		snprintf(tenant->name, sizeof(tenant->name), "%u", i % TENANTS);
		recorder_note(mediator, tenant, now + i * 1000ull, 7000);
	}
	assert_null(recorder_take(mediator, number + 1));
	while (is_more) {
		json_t *piece = recorder_take(mediator, number);
		char *text = json_dumps(piece, JSON_COMPACT);
		const json_t *row;
		size_t index;

		assert_non_null(text);
		assert_true(strlen(text) < PIECE_BYTES);
		free(text);
		assert_true(json_is_true(json_object_get(piece, "full")));
		json_array_foreach(json_object_get(piece, "tenants"), index, row)
		{
			unsigned long at = strtoul(json_string_value(json_object_get(row, "tenant")), NULL, 10);
			const json_t *turn;
			size_t place;

			assert_true(at < TENANTS);
			json_array_foreach(json_object_get(row, "turns"), place, turn)
			{
				assert_true(json_real_value(json_array_get(turn, 0)) ==
					    (double)(counts[at]++ * TENANTS + at));
				assert_true(json_real_value(json_array_get(turn, 1)) == 7);
				total++;
			}
		}
		is_more = json_is_true(json_object_get(piece, "more"));
		json_decref(piece);
		/* It has ended: nothing is added. */
		recorder_note(mediator, tenant, now, 7000);
	}
	assert_int_equal(total, TURNS);
	assert_null(mediator->recorder);
	assert_null(recorder_take(mediator, number));
	free(tenant);
	free(mediator);
}

static void one_goes_on_until_it_was_fetched(void **state)
{
	struct mediator *mediator = calloc(1, sizeof(*mediator));
	uint64_t first;

	(void)state;
	assert_non_null(mediator);
	now = 1000000000;
	assert_false(recorder_is_busy(mediator));
	first = recorder_begin(mediator, 10);
	assert_true(recorder_is_busy(mediator));
	now += 11000000000;
	assert_true(recorder_is_busy(mediator));
	now += 60000000000;
	assert_false(recorder_is_busy(mediator));
	/* Whose place another one took does not get that one's. */
	assert_true(recorder_begin(mediator, 10) != first);
	assert_null(recorder_take(mediator, first));
	assert_true(recorder_is_busy(mediator));
	recorder_destroy(mediator);
	assert_false(recorder_is_busy(mediator));
	free(mediator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recording_is_taken_in_small_pieces),
		cmocka_unit_test(one_goes_on_until_it_was_fetched),
	};

	return cmocka_run_group_tests_name("recorder", tests, NULL, NULL);
}
