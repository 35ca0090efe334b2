/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "starter.h"
#include "vgpu_control.h"

#define USER_DEFAULT	 "vgpu"
#define EXIT_NOT_STARTED 127
#define CHILD_FD_SAFE	 10 /* above all that the child puts in place */
#define CHILD_FDS_MAX	 65536

/* What it is given. */
enum child_descriptor { CHILD_OUTPUT, CHILD_ERROR, CHILD_CONTROL, CHILD_GROUP };

struct child {
	const struct child_plan *plan;
	pid_t parent;
};

int process_identity_find(const char *user, struct process_identity *ret_identity)
{
	const struct passwd *entry;

	if (geteuid() != 0) {
		*ret_identity = (struct process_identity){.change = false, .control_group = -1};
		return 0;
	}
	entry = getpwnam(user ? user : USER_DEFAULT);
	if (!entry && user) {
		errno = ENOENT;
		return -1;
	}
	*ret_identity = (struct process_identity){.change = entry != NULL, .control_group = -1};
	if (entry) {
		ret_identity->user = entry->pw_uid;
		ret_identity->group = entry->pw_gid;
	}
	return 0;
}

/* It has what it was given twice now. */
static void child_fds_close(int from)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned)from, ~0u, 0u) == 0)
		return;
#endif
	/* Linux before 5.9 */
	for (int fd = from; fd < CHILD_FDS_MAX; fd++)
		close(fd);
}

static int child_fds_place(const int descriptors[STARTER_DESCRIPTORS_MAX])
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int control = descriptors[CHILD_CONTROL];
	int sources[4];

	/* First out of the way of each other, then to their places. */
	sources[0] = fcntl(null, F_DUPFD_CLOEXEC, CHILD_FD_SAFE);
	sources[1] = fcntl(descriptors[CHILD_OUTPUT], F_DUPFD_CLOEXEC, CHILD_FD_SAFE);
	sources[2] = fcntl(descriptors[CHILD_ERROR], F_DUPFD_CLOEXEC, CHILD_FD_SAFE);
	sources[3] = control < 0 ? -1 : fcntl(control, F_DUPFD_CLOEXEC, CHILD_FD_SAFE);
	for (int i = 0; i < 3; i++) {
		if (sources[i] < 0 || dup2(sources[i], i) < 0)
			return -1;
	}
	if (control < 0) {
		child_fds_close(VGPU_EXECUTOR_CONTROL_FD);
		return 0;
	}
	if (sources[3] < 0 || dup2(sources[3], VGPU_EXECUTOR_CONTROL_FD) < 0)
		return -1;
	child_fds_close(VGPU_EXECUTOR_CONTROL_FD + 1);
	return 0;
}

int process_identity_take(const struct process_identity *identity)
{
	if (!identity->change)
		return 0;
	if (setgroups(1, &identity->group) < 0 || setresgid(identity->group, identity->group, identity->group) < 0 ||
	    setresuid(identity->user, identity->user, identity->user) < 0)
		return -1;
	return 0;
}

/* Before anything is done that the group is to be charged for. 0 or errno. */
static int child_group_enter(const struct process_identity *identity, int group)
{
	/* "0" is who writes. */
	if (identity->control_group >= 0 && write(group, "0", 1) != 1)
		return errno;
	return 0;
}

static void child_fail(const char *step, const char *path)
{
	/* The message ends in the daemon's log and in the reason that the guest is told. */
	dprintf(STDERR_FILENO, "cannot start %s: %s: %s\n", path, step, strerror(errno));
	_exit(EXIT_NOT_STARTED);
}

static void child_signals_reset(void)
{
	struct sigaction initial = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &initial, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void child_run(void *argument, const int descriptors[STARTER_DESCRIPTORS_MAX])
{
	const struct child *child = argument;
	const struct child_plan *plan = child->plan;
	struct rlimit no_core = {0, 0};
	int error = child_group_enter(plan->identity, descriptors[CHILD_GROUP]);

	if (child_fds_place(descriptors) < 0)
		_exit(EXIT_NOT_STARTED);
	child_signals_reset();
	errno = error;
	if (error)
		child_fail("control group", plan->path);
	if (setpgid(0, 0) < 0)
		child_fail("setpgid", plan->path);
	if (setrlimit(RLIMIT_CORE, &no_core) < 0)
		child_fail("setrlimit", plan->path);
	/*
	 * Driver allocations must not fall where a guest program's host mappings are: with this layout
	 * mmap goes upwards from 0x2aaa00000000.
	 */
	if (personality(ADDR_COMPAT_LAYOUT) < 0)
		child_fail("personality", plan->path);
	if (process_identity_take(plan->identity) < 0)
		child_fail("change of user", plan->path);
	/* After the change of user, which clears it. */
	if (!plan->outlives && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		child_fail("prctl", plan->path);
	if (!plan->outlives && getppid() != child->parent)
		_exit(EXIT_NOT_STARTED);
	execve(plan->path, plan->arguments, (char *const *)(uintptr_t)plan->environment);
	child_fail("exec", plan->path);
}

pid_t child_process_start(const struct child_plan *plan)
{
	struct child child = {.plan = plan, .parent = getpid()};
	const int descriptors[] = {
		[CHILD_OUTPUT] = plan->output,
		[CHILD_ERROR] = plan->error,
		[CHILD_CONTROL] = plan->control,
		[CHILD_GROUP] = plan->identity->control_group,
	};
	pid_t process = starter_start(child_run, &child, descriptors, sizeof(descriptors) / sizeof(descriptors[0]));

	/* Also here, for a signal to the group may be sent before the child has run. */
	if (process > 0)
		setpgid(process, process);
	return process;
}

void process_status_describe(int status, char *text, size_t text_bytes)
{
	if (WIFSIGNALED(status))
		snprintf(text, text_bytes, "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, text_bytes, "ended with code %d", WEXITSTATUS(status));
}
