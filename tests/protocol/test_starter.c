/* SPDX-License-Identifier: Apache-2.0 */
/* Children have what they are given and nothing else of this process's (protocol/starter.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "starter.h"

#define PATIENCE_MS 60000

/* The numbers of what is open, as bits; of a thread, or of the process with 0. */
static uint64_t open_find(pid_t thread)
{
	char path[64];
	uint64_t found = 0;
	const struct dirent *entry;
	DIR *folder;
	int number;

	snprintf(path, sizeof(path), thread ? "/proc/self/task/%d/fd" : "/proc/self/fd", (int)thread);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		if (sscanf(entry->d_name, "%d", &number) == 1 && number < 64 && (thread || number != dirfd(folder)))
			found |= UINT64_C(1) << number;
	}
	if (folder)
		closedir(folder);
	return found;
}

/* The only other one. */
static pid_t thread_find(void)
{
	DIR *folder = opendir("/proc/self/task");
	const struct dirent *entry;
	pid_t found = 0;
	int number;

	while (folder && (entry = readdir(folder))) {
		if (sscanf(entry->d_name, "%d", &number) == 1 && number != getpid())
			found = number;
	}
	if (folder)
		closedir(folder);
	return found;
}

struct question {
	char word[8];
};

/* The exit code says what is wrong. */
static void child_look(void *argument, const int descriptors[STARTER_DESCRIPTORS_MAX])
{
	const struct question *question = argument;
	uint64_t expected = 7;
	sigset_t mask;

	for (int i = 0; i < STARTER_DESCRIPTORS_MAX; i++)
		expected |= descriptors[i] < 0 ? 0 : UINT64_C(1) << descriptors[i];
	sigprocmask(SIG_SETMASK, NULL, &mask);
	if (strcmp(question->word, "word") != 0)
		_exit(1);
	if (open_find(0) != expected)
		_exit(2);
	if (descriptors[0] < 0 || descriptors[1] >= 0 || descriptors[2] < 0 || descriptors[3] >= 0)
		_exit(3);
	if (!sigismember(&mask, SIGUSR2) || !sigismember(&mask, SIGUSR1))
		_exit(4);
	if (write(descriptors[0], "one", 3) != 3 || write(descriptors[2], "two", 3) != 3)
		_exit(5);
	if (!(fcntl(descriptors[0], F_GETFD) & FD_CLOEXEC))
		_exit(6);
}

static void test_given(void **state)
{
	struct question question = {"word"};
	int pipes[2][2];
	int status;
	char text[8];
	pid_t thread;
	uint64_t before;

	(void)state;
	errno = 0;
	assert_int_equal(starter_start(child_look, &question, NULL, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(starter_open(), 0);
	thread = thread_find();
	before = open_find(thread);
	/* What comes in afterwards is nobody's. */
	for (int i = 0; i < 10; i++)
		assert_true(open("/dev/null", O_RDONLY) >= 0);
	for (int i = 0; i < 20; i++) {
		int descriptors[3] = {-1, -1, -1};
		pid_t child;

		for (int j = 0; j < 2; j++)
			assert_int_equal(pipe2(pipes[j], O_CLOEXEC), 0);
		descriptors[0] = pipes[0][1];
		descriptors[2] = pipes[1][1];
		child = starter_start(child_look, &question, descriptors, 3);
		assert_true(child > 0);
		for (int j = 0; j < 2; j++)
			close(pipes[j][1]);
		/* Ours, whoever has forked. */
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		for (int j = 0; j < 2; j++) {
			assert_int_equal(read(pipes[j][0], text, sizeof(text)), 3);
			assert_memory_equal(text, j ? "two" : "one", 3);
			assert_int_equal(read(pipes[j][0], text, sizeof(text)), 0);
			close(pipes[j][0]);
		}
	}
	for (int waited = 0; open_find(thread) != before && waited < PATIENCE_MS; waited++)
		usleep(1000);
	assert_true(open_find(thread) == before);
}

static void child_exit(void *argument, const int descriptors[STARTER_DESCRIPTORS_MAX])
{
	(void)argument;
	(void)descriptors;
}

static void test_nothing_given(void **state)
{
	int too_many[STARTER_DESCRIPTORS_MAX + 1] = {0};
	int status;
	pid_t child = starter_start(child_exit, NULL, NULL, 0);

	(void)state;
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(starter_start(child_exit, NULL, too_many, STARTER_DESCRIPTORS_MAX + 1), -1);
	assert_int_equal(errno, EINVAL);
	/* A number that is none. */
	too_many[0] = 9999;
	assert_int_equal(starter_start(child_exit, NULL, too_many, 1), -1);
	assert_int_equal(errno, EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_nothing_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
