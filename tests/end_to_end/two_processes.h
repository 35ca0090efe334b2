/* SPDX-License-Identifier: Apache-2.0 */
/* What programs share that share something with a child, or through a file with another program. */
#ifndef TEST_TWO_PROCESSES_H
#define TEST_TWO_PROCESSES_H

#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory_calls.h"

static int pair[2]; /* the parent's end, and the child's */

static inline int prepare(void)
{
	CUcontext context;

	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context);
}

/* Before either uses CUDA. -1: there is no child. */
static inline pid_t child_begin(int (*run)(int socket))
{
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -1;
	child = fork();
	if (child == 0) {
		close(pair[0]);
		_exit(run(pair[1]));
	}
	close(pair[1]);
	return child;
}

/* Waits for it, who finds that nothing more comes; 0 if it ended well. */
static inline int child_end(pid_t child)
{
	int status = 0;

	close(pair[0]);
	if (waitpid(child, &status, 0) != child)
		return -1;
	if (status)
		fprintf(stderr, "the child's status is %d\n", status);
	return status;
}

static inline void say(const char *text)
{
	puts(text);
	fflush(stdout);
}

/* Until standard input ends. */
static inline void input_drain(void)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		continue;
}

#endif
