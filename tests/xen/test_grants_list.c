/* SPDX-License-Identifier: Apache-2.0 */
/* The list of guests of vgpu-xen-grants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "grants_list.h"

#define UUID "0c2ad7fe-5cf2-4a8b-9f5e-0a6d3f4cbb1d"

static bool matches(const char *line)
{
	struct grants_list_entry entry;

	return grants_list_match(line, UUID, "ivory", &entry);
}

static void lines_of_the_guest(void **state)
{
	struct grants_list_entry entry;

	(void)state;
	assert_true(grants_list_match("ivory\tgrants  --vm-id 7 --pool B\n", UUID, "ivory", &entry));
	assert_string_equal(entry.words[0], "--vm-id");
	assert_string_equal(entry.words[1], "7");
	assert_string_equal(entry.words[2], "--pool");
	assert_string_equal(entry.words[3], "B");
	assert_null(entry.words[4]);
	assert_true(grants_list_match(UUID " grants", UUID, "ivory", &entry));
	assert_null(entry.words[0]);
}

static void other_lines(void **state)
{
	(void)state;
	assert_false(matches(""));
	assert_false(matches("\n"));
	assert_false(matches("ivory"));
	assert_false(matches("ivory 6 --vm-id 7"));
	assert_false(matches("ivory grantss"));
	assert_false(matches("ebony grants"));
	assert_false(matches("# ivory grants"));
}

static void long_lines(void **state)
{
	char line[4096] = "ivory grants";

	(void)state;
	for (int i = 0; i < GRANTS_LIST_WORDS; i++)
		strcat(line, " x");
	assert_true(matches(line));
	strcat(line, " x");
	assert_false(matches(line));
	memset(line, 'x', sizeof(line) - 1);
	memcpy(line, "ivory grants ", strlen("ivory grants "));
	line[sizeof(line) - 1] = '\0';
	assert_false(matches(line));
}

static void a_file(void **state)
{
	struct grants_list_entry entry;
	char path[] = "/tmp/grants-list-XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");

	(void)state;
	assert_non_null(file);
	fputs("ebony grants --vm-id 1\nivory 6 --vm-id 2\nivory grants --vm-id 3\nivory grants --vm-id 4", file);
	fclose(file);
	assert_true(grants_list_find(path, UUID, "ivory", &entry));
	assert_string_equal(entry.words[1], "3");
	assert_true(grants_list_find(path, UUID, "ebony", &entry));
	assert_string_equal(entry.words[1], "1");
	assert_false(grants_list_find(path, UUID, "amber", &entry));
	unlink(path);
	assert_false(grants_list_find(path, UUID, "ivory", &entry));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_the_guest),
		cmocka_unit_test(other_lines),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
