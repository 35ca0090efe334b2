/* SPDX-License-Identifier: Apache-2.0 */
#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox.h"

static bool library_fails;

/* Some versions of the library fail where the bounding set cannot be changed, and then change nothing. */
int __real_capng_apply(capng_select_t set);
int __wrap_capng_apply(capng_select_t set);
int __wrap_capng_apply(capng_select_t set)
{
	return library_fails && (set & CAPNG_SELECT_BOUNDS) ? -2 : __real_capng_apply(set);
}

static int library_break(void)
{
	library_fails = true;
	return 0;
}

static int bounding_refuse(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (!filter || seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1,
					SCMP_A0(SCMP_CMP_EQ, PR_CAPBSET_DROP)) < 0)
		return -1;
	return seccomp_load(filter);
}

/* In a child; what is left of its capabilities. */
static unsigned long long left_of(int (*prepare)(void))
{
	unsigned long long left = ~0ull;
	char line[256];
	char path[64];
	int ends[2];
	int result = -1;
	FILE *file;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		result = prepare && prepare() < 0 ? -1000 : sandbox_enter();
		if (write(ends[1], &result, sizeof(result)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &result, sizeof(result)), sizeof(result));
	snprintf(path, sizeof(path), "/proc/%d/status", child);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "CapEff: %llx", &left) == 1)
			break;
	}
	fclose(file);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(ends[0]);
	assert_int_equal(result, 0);
	return left;
}

static void leaves_no_capability(void **state)
{
	(void)state;
	assert_int_equal(left_of(NULL), 0);
}

static void leaves_none_where_the_bounding_set_stays(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(left_of(bounding_refuse), 0);
	assert_int_equal(left_of(library_break), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_no_capability),
		cmocka_unit_test(leaves_none_where_the_bounding_set_stays),
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
