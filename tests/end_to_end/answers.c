/* SPDX-License-Identifier: Apache-2.0 */
#include "answers.h"

#include <sys/wait.h>
#include <unistd.h>

/* A group that waits for what never comes ends by SIGALRM. */
enum { GROUP_SECONDS = 60 };

const char *answers_prefix = "";
const char *answers_word = "result";
const char *answers_ends_natively;

bool is_native(void)
{
	return getenv("VGPU_NATIVE") != NULL;
}

bool said(const char *name, CUresult result)
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

void told(const char *name, long long value)
{
	printf("%s %s.%s told %lld\n", answers_word, answers_prefix, name, value);
	fflush(stdout);
}

void told_real(const char *name, double value)
{
	printf("%s %s.%s told %.4f\n", answers_word, answers_prefix, name, value);
	fflush(stdout);
}

void answers_are(const char *word)
{
	answers_word = word ? word : "result";
}

bool said_as(const char *word, const char *name, CUresult result)
{
	const char *before = answers_word;
	bool is_success;

	answers_word = word;
	is_success = said(name, result);
	answers_word = before;
	return is_success;
}

int answers_run(const struct answers_group *groups, size_t count, const char *only)
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

void answers_context(void)
{
	CUcontext context;

	if (cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context))
		exit(2);
}
