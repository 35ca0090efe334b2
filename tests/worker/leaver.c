/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into an executor: one that was taken over. Once the file VGPU_LEAVER is there it hangs up on its mirror and
 * stays: it does not end. A child of its does it, for who is stopped cannot.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vgpu_control.h"

__attribute__((constructor)) static void leaver_start(void)
{
	const char *file = getenv("VGPU_LEAVER");
	pid_t executor = getpid();
	pid_t child;

	if (!file || strcmp(program_invocation_short_name, "cuda-executor") != 0)
		return;
	child = fork();
	if (child < 0)
		abort();
	if (child)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (access(file, F_OK) && getppid() == executor)
		usleep(10000);
	if (getppid() == executor) {
		kill(executor, SIGSTOP);
		shutdown(VGPU_EXECUTOR_CONTROL_FD, SHUT_RDWR);
	}
	_exit(0);
}
