/* SPDX-License-Identifier: Apache-2.0 */
/* How long the executor spins for the next record, on a clock of the test's own. */
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/sysinfo.h>
#include <time.h>

#include <cmocka.h>

#include "idle.h"

#define MICROSECOND 1000u
#define MILLISECOND 1000000u
#define TICK_NS	    100u

static uint64_t clock_ns;
static uint64_t record_ns; /* the doorbell rings then */
static unsigned processors;
static unsigned long load;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_ppoll(struct pollfd *waits, nfds_t count, const struct timespec *pause, const sigset_t *mask);
int __wrap_sched_getaffinity(pid_t process, size_t bytes, cpu_set_t *set);
int __wrap_sysinfo(struct sysinfo *info);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	clock_ns += TICK_NS;
	*now = (struct timespec){.tv_sec = (time_t)(clock_ns / 1000000000u), .tv_nsec = (long)(clock_ns % 1000000000u)};
	return 0;
}

int __wrap_ppoll(struct pollfd *waits, nfds_t count, const struct timespec *pause, const sigset_t *mask)
{
	uint64_t end_ns = pause ? clock_ns + (uint64_t)pause->tv_nsec : UINT64_MAX;

	(void)count;
	(void)mask;
	if (end_ns < record_ns) {
		clock_ns = end_ns;
		return 0;
	}
	if (clock_ns < record_ns)
		clock_ns = record_ns;
	waits[0].revents = POLLIN;
	return 1;
}

int __wrap_sched_getaffinity(pid_t process, size_t bytes, cpu_set_t *set)
{
	(void)process;
	CPU_ZERO_S(bytes, set);
	for (unsigned i = 0; i < processors; i++)
		CPU_SET_S(i, bytes, set);
	return 0;
}

int __wrap_sysinfo(struct sysinfo *info)
{
	*info = (struct sysinfo){.loads = {load << SI_LOAD_SHIFT}};
	return 0;
}

/* Nothing to do for so long. How often the executor went to sleep. */
static unsigned gap(struct idle *idle, uint64_t ns, enum idle_reason reason)
{
	unsigned sleeps = 0;

	record_ns = clock_ns + ns;
	while (clock_ns < record_ns)
		if (!idle_spin(idle, reason)) {
			assert_in_range(idle_sleep(idle, 0, 1, reason), 0, 1);
			sleeps++;
		}
	idle_end(idle);
	return sleeps;
}

static struct idle open_with(unsigned count, bool is_software)
{
	struct idle idle;

	processors = count;
	idle_open(&idle, is_software);
	return idle;
}

static void test_spin_comes_back(void **state)
{
	struct idle idle = open_with(4, false);

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(gap(&idle, 3 * MILLISECOND, IDLE_FOR_RECORDS), 1);
	/* A program that was slow for a while and issues a record each 10 us now. */
	gap(&idle, 10 * MICROSECOND, IDLE_FOR_RECORDS);
	for (int i = 0; i < 20; i++)
		assert_int_equal(gap(&idle, 10 * MICROSECOND, IDLE_FOR_RECORDS), 0);
}

static void test_slow_program_costs_little(void **state)
{
	struct idle idle = open_with(16, false);
	uint64_t spun_ns = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		uint64_t began_ns = clock_ns;

		record_ns = clock_ns + 10 * MILLISECOND;
		while (idle_spin(&idle, IDLE_FOR_RECORDS))
			;
		spun_ns += clock_ns - began_ns;
		assert_int_equal(idle_sleep(&idle, 0, 1, IDLE_FOR_RECORDS), 1);
		idle_end(&idle);
	}
	/* Of one second. */
	assert_true(spun_ns < 3 * MILLISECOND);
}

static void test_between_two_tokens(void **state)
{
	struct idle many = open_with(16, false), few = open_with(4, false), software = open_with(16, true);

	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(gap(&many, 700 * MICROSECOND, IDLE_FOR_RECORDS), 0);
		assert_int_equal(gap(&few, 700 * MICROSECOND, IDLE_FOR_RECORDS), 1);
		assert_int_equal(gap(&software, 700 * MICROSECOND, IDLE_FOR_RECORDS), 1);
	}
}

static void test_busy_machine(void **state)
{
	struct idle idle;

	(void)state;
	load = 8;
	clock_ns += 2000 * (uint64_t)MILLISECOND;
	idle = open_with(16, false);
	assert_int_equal(gap(&idle, 700 * MICROSECOND, IDLE_FOR_RECORDS), 1);
	load = 0;
}

static void test_waiting_for_others_teaches_nothing(void **state)
{
	struct idle idle = open_with(16, false);

	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_true(gap(&idle, 100 * (uint64_t)MILLISECOND, IDLE_FOR_GPU) > 1);
		/* With nothing to do but to wait for a permit it does not spin for long. */
		assert_int_equal(gap(&idle, 900 * MICROSECOND, IDLE_FOR_OTHERS), 1);
	}
	assert_int_equal(gap(&idle, 700 * MICROSECOND, IDLE_FOR_RECORDS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spin_comes_back),
		cmocka_unit_test(test_slow_program_costs_little),
		cmocka_unit_test(test_between_two_tokens),
		cmocka_unit_test(test_busy_machine),
		cmocka_unit_test(test_waiting_for_others_teaches_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
