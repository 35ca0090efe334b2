/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of control groups, of machines as they are and as they are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control_group.h"

#define ROOT_MOUNT "22 1 254:1 / / rw,relatime - ext4 /dev/root rw\n"
#define UNIFIED	   "35 25 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define SERVICE	   "0::/system.slice/mediator.service/mediator\n"

static void found(const char *mounts, const char *groups, const char *expected)
{
	char path[PATH_MAX];

	assert_int_equal(control_group_path_find(mounts, groups, path), 0);
	assert_string_equal(path, expected);
}

static void not_found(const char *mounts, const char *groups)
{
	char path[PATH_MAX];

	assert_int_equal(control_group_path_find(mounts, groups, path), -1);
}

static void test_paths(void **state)
{
	(void)state;
	found(ROOT_MOUNT UNIFIED, SERVICE, "/sys/fs/cgroup/system.slice/mediator.service/mediator");
	found(ROOT_MOUNT UNIFIED, "0::/\n", "/sys/fs/cgroup");
	/* Beside version 1, with other fields before the dash, and without a line's end. */
	found("1 2 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	      "3 2 0:2 / /sys/fs/cgroup/unified rw shared:4 master:1 - cgroup2 cgroup2 rw",
	      "4:memory:/somewhere\n0::/a\n", "/sys/fs/cgroup/unified/a");
	/* Only a part of it is mounted (a container), and a name with a space. */
	found("3 2 0:2 /box /c\\040d rw - cgroup2 none rw\n", "0::/box/a b\n", "/c d/a b");
	found("3 2 0:2 /box /c rw - cgroup2 none rw\n", "0::/box\n", "/c");
	/* The first mount that has it. */
	found("3 2 0:2 /other /c rw - cgroup2 none rw\n" UNIFIED, "0::/box\n", "/sys/fs/cgroup/box");
	not_found("3 2 0:2 /box /c rw - cgroup2 none rw\n", "0::/boxes/a\n");
	not_found(ROOT_MOUNT, SERVICE);
	not_found(UNIFIED, "4:memory:/somewhere\n");
	not_found(UNIFIED, "0::/../outside\n");
	not_found(UNIFIED, "");
	not_found("", SERVICE);
	/* What a mount is made of does not make it one. */
	not_found("1 2 0:1 / /sys rw - ext4 cgroup2 rw\n3 2 - cgroup2 x\n", "0::/\n");
}

static void test_paths_too_long(void **state)
{
	char groups[PATH_MAX + 64];
	char mounts[PATH_MAX + 128];

	(void)state;
	memset(groups, 'a', sizeof(groups));
	memcpy(groups, "0::/", 4);
	groups[sizeof(groups) - 1] = '\0';
	not_found(UNIFIED, groups);
	/* Each fits, and both do not. */
	groups[4 + PATH_MAX - 10] = '\0';
	not_found(UNIFIED, groups);
	memset(mounts, 'm', sizeof(mounts));
	memcpy(mounts, "3 2 0:2 / /", 11);
	strcpy(&mounts[PATH_MAX + 64], " rw - cgroup2 none rw\n");
	not_found(mounts, "0::/\n");
}

static void test_events(void **state)
{
	const char *text = "low 0\nhigh 0\nmax 31\noom 2\noom_kill 3\noom_group_kill 1\nhuge 18446744073709551615";
	uint64_t number = 7;

	(void)state;
	assert_true(control_group_event_find(text, "oom_kill", &number));
	assert_int_equal(number, 3);
	assert_true(control_group_event_find(text, "oom", &number));
	assert_int_equal(number, 2);
	assert_true(control_group_event_find(text, "huge", &number));
	assert_true(number == UINT64_MAX);
	assert_false(control_group_event_find(text, "kill", &number));
	assert_false(control_group_event_find("oom_kill x\n", "oom_kill", &number));
	assert_false(control_group_event_find("oom_kill -1\n", "oom_kill", &number));
	assert_false(control_group_event_find("oom_kill\n", "oom_kill", &number));
	assert_false(control_group_event_find("oom_kill 99999999999999999999999\n", "oom_kill", &number));
	assert_false(control_group_event_find("", "oom_kill", &number));
}

static void test_lists(void **state)
{
	(void)state;
	assert_true(control_group_list_has("cpuset cpu io memory pids\n", "memory"));
	assert_true(control_group_list_has("memory", "memory"));
	assert_true(control_group_list_has("cpu pids\n", "pids"));
	assert_false(control_group_list_has("cpuset memory2 xmemory\n", "memory"));
	assert_false(control_group_list_has("\n", "memory"));
	assert_false(control_group_list_has("", "memory"));
}

static void test_files(void **state)
{
	char folder[] = "/tmp/vgpu-control-group-XXXXXX";
	uint64_t number = 0;
	int group;

	(void)state;
	assert_non_null(mkdtemp(folder));
	group = open(folder, O_RDONLY | O_DIRECTORY);
	assert_true(group >= 0);
	/* Never makes a file: a group has those that it has. */
	assert_int_equal(control_group_write(group, "memory.max", "1"), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(control_group_number_read(group, "memory.max", &number), -1);
	close(openat(group, "memory.max", O_CREAT | O_WRONLY, 0600));
	assert_int_equal(control_group_number_read(group, "memory.max", &number), -1);
	assert_int_equal(control_group_limit_write(group, "memory.max", 1ull << 40), 0);
	assert_int_equal(control_group_number_read(group, "memory.max", &number), 0);
	assert_true(number == 1ull << 40);
	assert_int_equal(ftruncate(openat(group, "memory.max", O_WRONLY), 0), 0);
	assert_int_equal(control_group_limit_write(group, "memory.max", CONTROL_GROUP_UNLIMITED), 0);
	assert_int_equal(control_group_number_read(group, "memory.max", &number), 0);
	assert_true(number == CONTROL_GROUP_UNLIMITED);
	close(openat(group, "cgroup.controllers", O_CREAT | O_WRONLY, 0600));
	assert_int_equal(control_group_write(group, "cgroup.controllers", "cpu memory\n"), 0);
	assert_true(control_group_has(group, "memory"));
	assert_false(control_group_has(group, "pids"));
	/* It looks like a group, and is none. */
	assert_int_equal(control_group_open(folder), -1);
	assert_int_equal(errno, EMEDIUMTYPE);
	unlinkat(group, "memory.max", 0);
	unlinkat(group, "cgroup.controllers", 0);
	close(group);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths), cmocka_unit_test(test_paths_too_long), cmocka_unit_test(test_events),
		cmocka_unit_test(test_lists), cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
