/* SPDX-License-Identifier: Apache-2.0 */
/* The mediator's cleaner (host/mediator/cleaner.h) with memory files of its own. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleaner.h"

#define MEBIBYTE      ((uint64_t)1 << 20)
#define FILE_BYTES    (24 * MEBIBYTE)
#define ENDLESS_BYTES (MEBIBYTE << 26) /* of holes: minutes, a piece at a time */
#define PATIENCE      60

struct bench {
	struct event_base *base;
	struct cleaner *cleaner;
};

static int bench_open(void **state)
{
	static struct bench bench;

	bench.base = event_base_new();
	bench.cleaner = bench.base ? cleaner_create(bench.base) : NULL;
	*state = &bench;
	return bench.cleaner ? 0 : -1;
}

static int bench_close(void **state)
{
	struct bench *bench = *state;

	cleaner_destroy(bench->cleaner);
	event_base_free(bench->base);
	return 0;
}

static int file_make(uint64_t bytes)
{
	int file = memfd_create("test-cleaner", MFD_CLOEXEC);

	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, (off_t)bytes), 0);
	return file;
}

struct outcome {
	struct event_base *base;
	unsigned calls;
	int error;
};

static void outcome_take(void *owner, int error)
{
	struct outcome *outcome = owner;

	outcome->calls++;
	outcome->error = error;
	event_base_loopbreak(outcome->base);
}

/* Runs the loop until it is done; its error. */
static int outcome_wait(struct bench *bench, struct cleaning *cleaning)
{
	struct outcome outcome = {.base = bench->base};
	struct timeval patience = {.tv_sec = PATIENCE};

	cleaning->done = outcome_take;
	cleaning->owner = &outcome;
	cleaner_add(bench->cleaner, cleaning);
	event_base_loopexit(bench->base, &patience);
	event_base_dispatch(bench->base);
	assert_int_equal(outcome.calls, 1);
	return outcome.error;
}

static void test_part_is_zeroed(void **state)
{
	struct bench *bench = *state;
	int file = file_make(FILE_BYTES);
	uint8_t *view = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	struct cleaning cleaning = {.whose = bench, .memory = file, .offset = MEBIBYTE, .bytes = 18 * MEBIBYTE};

	assert_true(view != MAP_FAILED);
	memset(view, 0xa5, FILE_BYTES);
	assert_int_equal(outcome_wait(bench, &cleaning), 0);
	for (uint64_t i = 0; i < FILE_BYTES; i++) {
		bool is_inside = i >= MEBIBYTE && i < 19 * MEBIBYTE;

		if (view[i] != (is_inside ? 0 : 0xa5))
			fail_msg("byte %llu is %#x", (unsigned long long)i, view[i]);
	}
	munmap(view, FILE_BYTES);
	close(file);
}

/* One whose memory takes for ever, in whatever number of channels, keeps nobody else from his. */
static void test_others_do_not_wait(void **state)
{
	struct bench *bench = *state;
	int endless = file_make(ENDLESS_BYTES);
	int file = file_make(FILE_BYTES);
	struct outcome never = {.base = bench->base};
	struct cleaning first[3];
	struct cleaning other = {.whose = &other, .memory = file, .bytes = FILE_BYTES};

	for (unsigned i = 0; i < 3; i++) {
		first[i] = (struct cleaning){.whose = bench,
					     .memory = endless,
					     .bytes = ENDLESS_BYTES,
					     .done = outcome_take,
					     .owner = &never};
		cleaner_add(bench->cleaner, &first[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		other.offset = 0;
		other.bytes = FILE_BYTES;
		assert_int_equal(outcome_wait(bench, &other), 0);
	}
	assert_int_equal(never.calls, 0);
	/* It ends although they are not done, and then touches them no more. */
	cleaner_destroy(bench->cleaner);
	bench->cleaner = NULL;
	close(endless);
	close(file);
}

static void test_refusal_is_told(void **state)
{
	struct bench *bench = *state;
	int file = file_make(FILE_BYTES);
	int refused = memfd_create("test-cleaner", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct cleaning cleaning = {.whose = bench, .memory = refused, .bytes = FILE_BYTES};

	assert_true(refused >= 0);
	assert_int_equal(fcntl(refused, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(outcome_wait(bench, &cleaning), EPERM);
	/* What it said of one does not stay. */
	cleaning.memory = file;
	cleaning.bytes = FILE_BYTES;
	assert_int_equal(outcome_wait(bench, &cleaning), 0);
	close(refused);
	close(file);
}

static void test_file_is_closed(void **state)
{
	struct bench *bench = *state;
	int ends[2];
	uint8_t byte;
	struct cleaning cleaning = {.whose = bench, .closes = true};

	assert_int_equal(pipe(ends), 0);
	cleaning.memory = ends[1];
	assert_int_equal(outcome_wait(bench, &cleaning), 0);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_part_is_zeroed, bench_open, bench_close),
		cmocka_unit_test_setup_teardown(test_others_do_not_wait, bench_open, bench_close),
		cmocka_unit_test_setup_teardown(test_refusal_is_told, bench_open, bench_close),
		cmocka_unit_test_setup_teardown(test_file_is_closed, bench_open, bench_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
