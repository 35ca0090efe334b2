/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs share that print what calls answer: one line each, so that the answers can be compared with a
 * GPU's. Each group of calls has a process of its own, for it may break its context or, natively, end badly.
 */
#ifndef TEST_ANSWERS_H
#define TEST_ANSWERS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../guest/cuda_calls.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A group that waits for what never comes ends by SIGALRM. */
enum { GROUP_SECONDS = 60 };

/* What natively ends the process is asked of ours alone. */
static inline bool is_native(void)
{
	return getenv("VGPU_NATIVE") != NULL;
}

/* The first part of each name. */
__attribute__((weak)) const char *answers_prefix = "";
/* What lines begin with: lines "result" are compared with the real driver's, lines "unlike" are not. */
__attribute__((weak)) const char *answers_word = "result";
/* The group that natively ends its process, which is not compared; NULL: none. */
__attribute__((weak)) const char *answers_ends_natively;

/* Whether the call has succeeded; an error that comes later than its call has a line of its own. */
static inline bool said(const char *name, CUresult result)
{
	CUresult later;

	printf("%s %s.%s %d\n", answers_word, answers_prefix, name, result);
	fflush(stdout);
	later = cuCtxSynchronize();
	if (later && later != CUDA_ERROR_INVALID_CONTEXT)
		printf("%s %s.%s later %d\n", answers_word, answers_prefix, name, later);
	fflush(stdout);
	return result == CUDA_SUCCESS;
}

/* What a call has told. */
static inline void told(const char *name, long long value)
{
	printf("%s %s.%s told %lld\n", answers_word, answers_prefix, name, value);
	fflush(stdout);
}

static inline void told_real(const char *name, double value)
{
	printf("%s %s.%s told %.4f\n", answers_word, answers_prefix, name, value);
	fflush(stdout);
}

/* The word of the lines from now on; NULL: "result" again. */
static inline void answers_are(const char *word)
{
	answers_word = word ? word : "result";
}

/* The same for a line with that word. */
static inline bool said_as(const char *word, const char *name, CUresult result)
{
	const char *before = answers_word;
	bool is_success;

	answers_word = word;
	is_success = said(name, result);
	answers_word = before;
	return is_success;
}

/* Why it is unlike the real driver's answer, a comment says. */
#define SAID_UNLIKE(name, call) said_as("unlike", name, call)

/* What ends the process with the real driver. */
#define SAID_OURS(name, call)                              \
	do {                                               \
		if (!is_native())                          \
			(void)said_as("ours", name, call); \
	} while (0)

struct answers_group {
	const char *name;
	void (*calls)(void);
};

/* The group of that name alone, or each; 1: one of them has ended badly. */
static inline int answers_run(const struct answers_group *groups, size_t count, const char *only)
{
	bool failed = false;

	for (size_t i = 0; i < count; i++) {
		pid_t child;
		int status;

		if (only && strcmp(only, groups[i].name) != 0)
			continue;
		child = fork();
		if (child == 0) {
			alarm(GROUP_SECONDS);
			answers_prefix = groups[i].name;
			if (cuInit(0))
				_exit(2);
			groups[i].calls();
			fflush(stdout);
			exit(0);
		}
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 1;
		printf("%s group %s ended %d\n",
		       answers_ends_natively && strcmp(answers_ends_natively, groups[i].name) == 0 ? "unlike"
												   : "result",
		       groups[i].name, WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status));
		fflush(stdout);
		failed = failed || status != 0;
	}
	return failed && !is_native();
}

/* The primary context of device 0 is current. */
static inline void answers_context(void)
{
	CUcontext context;

	if (cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context))
		exit(2);
}

#endif
