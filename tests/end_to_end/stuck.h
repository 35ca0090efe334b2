/* SPDX-License-Identifier: Apache-2.0 */
/* A sleep in the kernel that no signal but SIGKILL ends, for executors of tests. */
#ifndef END_TO_END_STUCK_H
#define END_TO_END_STUCK_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

/*
 * Never returns. Where 'when' is a folder's path it makes a file there whose name is the process's number, and begins
 * to sleep when there is one with the name "now".
 */
static inline void stuck_sleep(const char *when)
{
	char path[256];

	if (when[0] == '/') {
		snprintf(path, sizeof(path), "%s/%d", when, (int)getpid());
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
		snprintf(path, sizeof(path), "%s/now", when);
		while (access(path, F_OK) < 0)
			usleep(1000);
	}
	/* As the parent of such a child sleeps until that has ended; it ends with the parent. */
	if (vfork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

#endif
