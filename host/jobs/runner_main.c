/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-job-runner: answers the jobs of one VM, a line for a line of JSON, on standard input and output; a byte before
 * each answer says whether it was the last one. It is
 * an ordinary CUDA program of the guest library, so mediator, executor and their limits stand between it and the GPU.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "job.h"
#include "sandbox.h"

int main(void)
{
	static const char no_answer[] = "{\"error\":\"out of memory\"}";
	static struct gpu gpu;
	char text[200];
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length;
	bool is_open;
	/* What a job's kernel prints must not look like an answer. */
	FILE *answers = fdopen(dup(STDOUT_FILENO), "w");

	if (!answers || !freopen("/dev/null", "w", stdout))
		return 1;
	prctl(PR_SET_DUMPABLE, 0);
	/* It can make no connections, so it cannot say that it is another VM's; nor harm other processes of its user.
	 */
	if (sandbox_enter() != 0)
		return 1;
	is_open = gpu_open(&gpu, text, sizeof(text));
	while ((length = getline(&line, &capacity, stdin)) > 0) {
		char *answer = is_open ? job_answer(&gpu, line, (size_t)length) : NULL;
		/* After a kernel's fault the context is lost; the next job gets a new process. */
		bool is_last = !is_open || gpu.synchronize() != CUDA_SUCCESS;

		putc(is_last ? RUNNER_LAST_ANSWER : RUNNER_ANSWER, answers);
		if (!is_open)
			fprintf(answers, "{\"error\":\"%s\"}\n", text);
		else
			fprintf(answers, "%s\n", answer ? answer : no_answer);
		free(answer);
		if (fflush(answers) != 0 || is_last)
			break;
	}
	free(line);
	return 0;
}
