/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a child process with nothing of the daemon's (mediator, vgpu-worker) but what it is given.
 *
 * The child runs in its own process group, in the compatibility address layout,
 * without core files, as the configured user, and is killed by the kernel when
 * the daemon is gone in any way.
 */
#ifndef MEDIATOR_CHILD_H
#define MEDIATOR_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Who a child becomes; looked up when settings are loaded, for a look-up may take long. */
struct process_identity {
	bool change; /* false: the daemon's own */
	uid_t user;
	gid_t group;
	int control_group; /* its cgroup.procs, open to be written; -1: the daemon's own group */
};

/*
 * Looks up the user that executors run as: the given name, or "vgpu" where that exists. Without root's
 * rights nothing changes. 0, or -1 with errno when the named user does not exist.
 */
int process_identity_find(const char *user, struct process_identity *ret_identity);

/* The calling process becomes it, for good, but for its control group. 0, or -1 with errno. */
int process_identity_take(const struct process_identity *identity);

struct child_plan {
	const char *path;
	char *const *arguments;
	const char *const *environment; /* "NAME=value", up to NULL */
	int output;			/* becomes standard output */
	int error;			/* becomes standard error */
	int control;			/* becomes VGPU_EXECUTOR_CONTROL_FD, or -1 */
	bool outlives;			/* it does not end with the daemon */
	const struct process_identity *identity;
};

/*
 * By the thread of starter_open(). The child's number, or -1 with errno; a failing exec is exit code 127 and a line of
 * error.
 */
pid_t child_process_start(const struct child_plan *plan);

/* How it ended (waitpid): "ended with code 3", "was killed by signal 11 (Segmentation fault)". */
void process_status_describe(int status, char *text, size_t text_bytes);

#endif
