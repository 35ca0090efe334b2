/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

pid_t peer_executor_start(int control)
{
	const char *program = getenv("VGPU_TEST_EXECUTOR");
	pid_t child;

	assert_non_null(program);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* dup2 clears close-on-exec, unless it is the same descriptor. */
		if (control == VGPU_EXECUTOR_CONTROL_FD)
			fcntl(control, F_SETFD, 0);
		else if (dup2(control, VGPU_EXECUTOR_CONTROL_FD) < 0)
			_exit(126);
		alarm(600);
		execl(program, program, NULL);
		_exit(127);
	}
	return child;
}
