/* SPDX-License-Identifier: Apache-2.0 */
/* What owner and lanes share: pieces in whatever order, a queue that is full, and when silence counts. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "lanes.h"

static struct lanes lanes;

static int lanes_begin(void **state)
{
	(void)state;
	return lanes_create(&lanes, 2, NULL);
}

static int lanes_finish(void **state)
{
	(void)state;
	close(lanes.wake);
	close(lanes.bell);
	return 0;
}

static bool is_rung(int eventfd)
{
	struct pollfd wait = {.fd = eventfd, .events = POLLIN};

	return poll(&wait, 1, 0) == 1;
}

/* A place is cut without a gap, in pieces that are not too large. */
static void places_are_cut(void **state)
{
	static const uint64_t sizes[] = {LANE_BULK_BYTES, LANE_PIECE_BYTES,   LANE_PIECE_BYTES + 1,
					 LANE_PUT_BYTES,  LANE_PUT_BYTES - 1, 300001};
	uint64_t expected = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t place = 12345;
		uint64_t left = sizes[i];

		assert_true(lanes_put(&lanes, place, sizes[i]));
		while (left) {
			struct lanes_piece piece;
			uint64_t number;

			assert_true(lanes_piece_take(lanes.page, lanes.bell, &piece, &number));
			assert_int_equal(number, expected++);
			assert_int_equal(piece.place, place);
			assert_in_range(piece.bytes, 1, LANE_PIECE_BYTES < left ? LANE_PIECE_BYTES : left);
			place += piece.bytes;
			left -= piece.bytes;
		}
	}
}

static void full_queue(void **state)
{
	struct lanes_piece piece;
	uint64_t number;

	(void)state;
	for (unsigned i = 0; i < LANES_QUEUE; i++)
		assert_true(lanes_put(&lanes, 0, LANE_PIECE_BYTES));
	assert_false(lanes_put(&lanes, 0, LANE_PIECE_BYTES));
	assert_false(is_rung(lanes.bell));
	assert_true(lanes_piece_take(lanes.page, lanes.bell, &piece, &number));
	assert_true(is_rung(lanes.bell));
	assert_true(lanes_put(&lanes, 0, LANE_PIECE_BYTES));
	assert_false(lanes_put(&lanes, 0, LANE_PIECE_BYTES));
}

static void idle_lanes_are_woken(void **state)
{
	(void)state;
	assert_true(lanes_put(&lanes, 0, LANE_PUT_BYTES));
	assert_false(is_rung(lanes.wake));
	lanes.page->lanes_idle = 1;
	assert_true(lanes_put(&lanes, 0, LANE_PUT_BYTES));
	assert_true(is_rung(lanes.wake));
}

/* Backwards, further than the table of what has come is long. */
static void any_order(void **state)
{
	(void)state;
	for (uint64_t first = 0; first < 3 * LANES_AHEAD; first += 64) {
		for (uint64_t i = 64; i-- > 1;) {
			assert_true(lanes_number_is_valid(lanes.page, first + i));
			lanes_piece_came(lanes.page, lanes.bell, first + i);
			assert_int_equal(lanes_complete(&lanes), first);
		}
		lanes_piece_came(lanes.page, lanes.bell, first);
		assert_int_equal(lanes_complete(&lanes), first + 64);
		assert_false(lanes_number_is_valid(lanes.page, first));
	}
	assert_true(lanes_number_is_valid(lanes.page, 4 * LANES_AHEAD - 1));
	assert_false(lanes_number_is_valid(lanes.page, 4 * LANES_AHEAD));
}

static void sleeping_owner(void **state)
{
	(void)state;
	/* Nobody waits for it. */
	lanes_piece_came(lanes.page, lanes.bell, 0);
	assert_false(lanes_sleep_prepare(&lanes));
	assert_false(is_rung(lanes.bell));
	lanes.awaited = 2;
	assert_int_equal(lanes_complete(&lanes), 1);
	assert_false(lanes_sleep_prepare(&lanes));
	lanes_piece_came(lanes.page, lanes.bell, 1);
	assert_true(is_rung(lanes.bell));
	lanes_wake(&lanes);
	assert_false(is_rung(lanes.bell));
	/* What came before it was about to sleep. */
	assert_true(lanes_sleep_prepare(&lanes));
}

static void silence(void **state)
{
	(void)state;
	assert_null(lanes_lost(&lanes, 1000, 500));
	/* It was busy with other things for long, and then something is awaited. */
	lanes.awaited = 1;
	assert_null(lanes_lost(&lanes, 9000, 500));
	assert_null(lanes_lost(&lanes, 9400, 500));
	lanes.page->heard_bytes = 10;
	assert_null(lanes_lost(&lanes, 9800, 500));
	assert_null(lanes_lost(&lanes, 10200, 500));
	assert_non_null(lanes_lost(&lanes, 10301, 500));
	lanes_piece_came(lanes.page, lanes.bell, 0);
	lanes_complete(&lanes);
	assert_null(lanes_lost(&lanes, 99000, 500));
}

static void first_reason_counts(void **state)
{
	(void)state;
	lanes_lose(lanes.page, lanes.bell, "one");
	lanes_lose(lanes.page, lanes.bell, "two");
	assert_true(is_rung(lanes.bell));
	assert_string_equal(lanes_lost(&lanes, 0, 1000), "one");
}

#define LANES_TEST(test) cmocka_unit_test_setup_teardown(test, lanes_begin, lanes_finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LANES_TEST(places_are_cut),	 LANES_TEST(full_queue),     LANES_TEST(idle_lanes_are_woken),
		LANES_TEST(any_order),		 LANES_TEST(sleeping_owner), LANES_TEST(silence),
		LANES_TEST(first_reason_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
