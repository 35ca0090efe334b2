/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs every kernel case against one libcuda and reports in the Test Anything
 * Protocol.
 *
 *   kernels_run [--library PATH] [--one-process] [--list] [FOLDER] [CASE…]
 *
 * The library is --library, else $VGPU_TEST_LIBCUDA, else libcuda.so.1.  FOLDER
 * has a slash in it and holds the PTX; without it, the source tree's is used.
 * Each case runs in a child of its own, so that a crash, a hang or a broken
 * context costs one case; --one-process is for debuggers and for measuring.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

enum {
	CASE_SECONDS_MAX = 120,
	EXIT_PASSED = 0,
	EXIT_FAILED = 1,
	EXIT_SKIPPED = 2,
};

static const struct trial_case *const tables[] = {
	cases_sums,	cases_dense,  cases_fields,   cases_sorting,  cases_bits,  cases_mathematics,
	cases_rounding, cases_half,   cases_memory,   cases_control,  cases_calls, cases_atomics,
	cases_warp,	cases_arrays, cases_textures, cases_surfaces,
};

struct options {
	const char *library;
	const char *ptx_folder;
	bool one_process;
	bool list;
	char **names;
	int name_count;
};

struct verdict {
	int code;
	char why[512];
};

static bool options_parse(int count, char **arguments, struct options *ret_options)
{
	struct options options = {
		.library = getenv("VGPU_TEST_LIBCUDA"),
		.ptx_folder = KERNELS_PTX_FOLDER,
	};
	int at = 1;
	for (; at < count && arguments[at][0] == '-'; at++) {
		if (strcmp(arguments[at], "--library") == 0 && at + 1 < count)
			options.library = arguments[++at];
		else if (strcmp(arguments[at], "--one-process") == 0)
			options.one_process = true;
		else if (strcmp(arguments[at], "--list") == 0)
			options.list = true;
		else
			return false;
	}
	if (at < count && strchr(arguments[at], '/') != NULL)
		options.ptx_folder = arguments[at++];
	options.names = arguments + at;
	options.name_count = count - at;
	if (options.library == NULL)
		options.library = "libcuda.so.1";
	*ret_options = options;
	return true;
}

static bool is_chosen(const struct options *options, const char *name)
{
	for (int i = 0; i < options->name_count; i++)
		if (strcmp(options->names[i], name) == 0)
			return true;
	return options->name_count == 0;
}

/* Returns the number of chosen cases; stores them when there is room to. */
static size_t choose_cases(const struct options *options, const struct trial_case **cases)
{
	size_t count = 0;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct trial_case *item = tables[i]; item->name != NULL; item++)
			if (is_chosen(options, item->name)) {
				if (cases != NULL)
					cases[count] = item;
				count++;
			}
	return count;
}

/* Opens the library and makes device 0's primary context current; returns what failed or NULL. */
static const char *open_device(const struct options *options, struct driver *ret_driver)
{
	static char message[256];
	struct driver driver;
	const char *problem = driver_open(options->library, &driver);
	if (problem == NULL)
		problem = driver_find_arrays(&driver);
	if (problem != NULL)
		return problem;
	CUdevice device;
	CUcontext context;
	const char *call = "cuInit";
	CUresult result = driver.init(0);
	if (result == CUDA_SUCCESS) {
		call = "cuDeviceGet";
		result = driver.device_get(&device, 0);
	}
	if (result == CUDA_SUCCESS) {
		call = "cuDevicePrimaryCtxRetain";
		result = driver.primary_retain(&context, device);
	}
	if (result == CUDA_SUCCESS) {
		call = "cuCtxSetCurrent";
		result = driver.set_current(context);
	}
	if (result != CUDA_SUCCESS) {
		snprintf(message, sizeof(message), "%s: %s", call, driver_error_name(&driver, result));
		return message;
	}
	*ret_driver = driver;
	return NULL;
}

static void run_case(const struct trial_case *item, const struct driver *driver, const char *ptx_folder,
		     struct verdict *ret_verdict)
{
	struct trial trial;
	trial_begin(&trial, driver, ptx_folder);
	item->run(&trial);
	trial_end(&trial);
	ret_verdict->code = trial.failed ? EXIT_FAILED : (trial.skipped ? EXIT_SKIPPED : EXIT_PASSED);
	snprintf(ret_verdict->why, sizeof(ret_verdict->why), "%s", trial.why);
}

/* The child's whole life: its verdict goes into the pipe. */
static void run_as_child(const struct trial_case *item, const struct options *options, int pipe_end)
{
	struct verdict verdict = {.code = EXIT_FAILED};
	struct driver driver;
	alarm(CASE_SECONDS_MAX);
	const char *problem = open_device(options, &driver);
	if (problem != NULL)
		snprintf(verdict.why, sizeof(verdict.why), "%s", problem);
	else
		run_case(item, &driver, options->ptx_folder, &verdict);
	ssize_t written = write(pipe_end, &verdict, sizeof(verdict));
	/* exit, not _exit: the library's own clean-up is part of the test. */
	exit(written == (ssize_t)sizeof(verdict) ? verdict.code : EXIT_FAILED);
}

static void run_in_child(const struct trial_case *item, const struct options *options, struct verdict *ret_verdict)
{
	int ends[2], status = 0;
	struct verdict verdict = {.code = EXIT_FAILED};
	fflush(stdout);
	if (pipe(ends) != 0) {
		snprintf(ret_verdict->why, sizeof(ret_verdict->why), "pipe: %s", strerror(errno));
		ret_verdict->code = EXIT_FAILED;
		return;
	}
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		run_as_child(item, options, ends[1]);
	}
	close(ends[1]);
	ssize_t bytes = child > 0 ? read(ends[0], &verdict, sizeof(verdict)) : -1;
	close(ends[0]);
	if (child < 0)
		snprintf(verdict.why, sizeof(verdict.why), "fork: %s", strerror(errno));
	else if (waitpid(child, &status, 0) != child)
		snprintf(verdict.why, sizeof(verdict.why), "waitpid: %s", strerror(errno));
	else if (WIFSIGNALED(status)) {
		bool slow = WTERMSIG(status) == SIGALRM;
		verdict.code = EXIT_FAILED;
		snprintf(verdict.why, sizeof(verdict.why), "%s %s%s",
			 slow ? "no end after the time limit:" : "killed by", strsignal(WTERMSIG(status)),
			 bytes == (ssize_t)sizeof(verdict) ? ", at exit" : "");
	} else if (bytes != (ssize_t)sizeof(verdict) || WEXITSTATUS(status) != verdict.code) {
		verdict.code = EXIT_FAILED;
		snprintf(verdict.why, sizeof(verdict.why), "exited with status %d", WEXITSTATUS(status));
	}
	*ret_verdict = verdict;
}

int main(int argument_count, char **arguments)
{
	struct options options;
	if (!options_parse(argument_count, arguments, &options)) {
		fprintf(stderr, "usage: %s [--library PATH] [--one-process] [--list] [FOLDER/] [CASE...]\n",
			arguments[0]);
		return 2;
	}
	size_t count = choose_cases(&options, NULL), failures = 0;
	const struct trial_case **cases = calloc(count + 1, sizeof(*cases));
	if (cases == NULL || count == 0) {
		fprintf(stderr, "%s\n", cases == NULL ? "no memory" : "no case of that name");
		free(cases);
		return 2;
	}
	choose_cases(&options, cases);
	struct driver driver;
	const char *problem = NULL;
	if (options.one_process && !options.list)
		problem = open_device(&options, &driver);
	if (problem != NULL) {
		printf("Bail out! %s\n", problem);
		free(cases);
		return 1;
	}
	if (!options.list)
		printf("1..%zu\n", count);
	for (size_t i = 0; i < count; i++) {
		struct verdict verdict;
		if (options.list) {
			printf("%s\n", cases[i]->name);
			continue;
		}
		if (options.one_process)
			run_case(cases[i], &driver, options.ptx_folder, &verdict);
		else
			run_in_child(cases[i], &options, &verdict);
		failures += verdict.code == EXIT_FAILED;
		printf("%sok %zu - %s%s%s\n", verdict.code == EXIT_FAILED ? "not " : "", i + 1, cases[i]->name,
		       verdict.code == EXIT_PASSED ? "" : (verdict.code == EXIT_SKIPPED ? " # SKIP " : " # "),
		       verdict.code == EXIT_PASSED ? "" : verdict.why);
		fflush(stdout);
	}
	if (failures != 0)
		printf("# %zu of %zu cases failed\n", failures, count);
	free(cases);
	return failures == 0 ? 0 : 1;
}
