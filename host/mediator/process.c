/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "mediator.h"
#include "vgpu_control.h"

#define USER_DEFAULT	      "vgpu"
#define EXIT_NOT_STARTED      127
#define ENVIRONMENT_COUNT_MAX 64
#define CHILD_FD_SAFE	      10 /* above all that the child puts in place */
#define CHILD_FDS_MAX	      65536

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

/* A name to keep from the mediator's environment: what configures a driver, softgpu or a sanitizer. */
static bool variable_is_kept(const struct mediator *mediator, const char *variable)
{
	static const char *const names[] = {"CUDA_VISIBLE_DEVICES=", "CUDA_DEVICE_ORDER=", "CUDA_CACHE_PATH=", "TZ="};
	static const char *const prefixes[] = {"SOFTGPU_", "VGPU_EXECUTOR_", "ASAN_OPTIONS", "UBSAN_OPTIONS",
					       "LSAN_OPTIONS"};
	const struct configuration_list *inherited = &mediator->configuration.executor_environment;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	for (size_t i = 0; i < inherited->count; i++) {
		size_t length = strlen(inherited->values[i]);

		if (strncmp(variable, inherited->values[i], length) == 0 && variable[length] == '=')
			return true;
	}
	return false;
}

static bool variable_is_given(const char *const *given, const char *variable)
{
	for (; given && *given; given++) {
		/* With the sign, so that no longer name is meant. */
		if (strncmp(variable, *given, strcspn(*given, "=") + 1) == 0)
			return true;
	}
	return false;
}

static void environment_make(const struct mediator *mediator, const char *const *given,
			     const char *environment[ENVIRONMENT_COUNT_MAX + 1])
{
	size_t count = 0;

	environment[count++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	environment[count++] = "LANG=C.UTF-8";
	for (const char *const *variable = given; variable && *variable && count < ENVIRONMENT_COUNT_MAX; variable++)
		environment[count++] = *variable;
	for (char **variable = environ; variable && *variable && count < ENVIRONMENT_COUNT_MAX; variable++) {
		if (!variable_is_given(given, *variable) && variable_is_kept(mediator, *variable))
			environment[count++] = *variable;
	}
	environment[count] = NULL;
}

/* Everything is close-on-exec but what whoever started the mediator left open. */
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

static int child_fds_place(const struct process_plan *plan)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int sources[4];

	/* First out of the way of each other, then to their places. */
	sources[0] = fcntl(null, F_DUPFD_CLOEXEC, CHILD_FD_SAFE);
	sources[1] = fcntl(plan->output, F_DUPFD_CLOEXEC, CHILD_FD_SAFE);
	sources[2] = fcntl(plan->error, F_DUPFD_CLOEXEC, CHILD_FD_SAFE);
	sources[3] = plan->control < 0 ? -1 : fcntl(plan->control, F_DUPFD_CLOEXEC, CHILD_FD_SAFE);
	for (int i = 0; i < 3; i++) {
		if (sources[i] < 0 || dup2(sources[i], i) < 0)
			return -1;
	}
	if (plan->control < 0) {
		child_fds_close(VGPU_EXECUTOR_CONTROL_FD);
		return 0;
	}
	if (sources[3] < 0 || dup2(sources[3], VGPU_EXECUTOR_CONTROL_FD) < 0)
		return -1;
	child_fds_close(VGPU_EXECUTOR_CONTROL_FD + 1);
	return 0;
}

static int child_identity_take(const struct process_identity *identity)
{
	if (!identity->change)
		return 0;
	if (setgroups(1, &identity->group) < 0 || setresgid(identity->group, identity->group, identity->group) < 0 ||
	    setresuid(identity->user, identity->user, identity->user) < 0)
		return -1;
	return 0;
}

/* Before anything is done that the group is to be charged for. 0 or errno. */
static int child_group_enter(const struct process_identity *identity)
{
	/* "0" is who writes. */
	if (identity->control_group >= 0 && write(identity->control_group, "0", 1) != 1)
		return errno;
	return 0;
}

static void child_fail(const char *step, const char *path)
{
	/* The message ends in the mediator's log and in the reason that the guest is told. */
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

static void child_run(const struct process_plan *plan, const struct process_identity *identity,
		      const char *const *environment, pid_t parent)
{
	struct rlimit no_core = {0, 0};
	int error = child_group_enter(identity);

	if (child_fds_place(plan) < 0)
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
	if (child_identity_take(identity) < 0)
		child_fail("change of user", plan->path);
	/* After the change of user, which clears it. */
	if (!plan->outlives && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		child_fail("prctl", plan->path);
	if (!plan->outlives && getppid() != parent)
		_exit(EXIT_NOT_STARTED);
	execve(plan->path, plan->arguments, (char *const *)(uintptr_t)environment);
	child_fail("exec", plan->path);
}

int process_start(struct mediator *mediator, const struct process_plan *plan, struct process *process)
{
	const char *environment[ENVIRONMENT_COUNT_MAX + 1];
	pid_t parent = getpid();
	sigset_t all;
	sigset_t before;
	pid_t child;
	int error;

	environment_make(mediator, plan->variables, environment);
	/* No handler of the loop may run in the child: it would write into the loop's own pipe. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	child = fork();
	if (child == 0)
		child_run(plan, plan->identity ? plan->identity : &mediator->executor_identity, environment, parent);
	error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (child < 0) {
		errno = error;
		return -1;
	}
	/* Also here, for a signal to the group may be sent before the child has run. */
	setpgid(child, child);
	process->pid = child;
	/* It is not reaped yet. Without it (Linux before 5.3) it cannot be adopted. */
	process->handle = plan->outlives ? (int)syscall(SYS_pidfd_open, child, 0) : -1;
	LIST_INSERT_HEAD(&mediator->processes, process, link);
	return 0;
}

void processes_reap(struct mediator *mediator)
{
	struct process *process;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		LIST_FOREACH(process, &mediator->processes, link)
		{
			if (process->pid == pid)
				break;
		}
		if (!process)
			continue;
		LIST_REMOVE(process, link);
		process->exited(process, status);
	}
}

static void handle_readable(evutil_socket_t handle, short what, void *argument)
{
	struct process *process = argument;

	(void)handle;
	(void)what;
	LIST_REMOVE(process, link);
	process->exited(process, 0);
}

int process_adopt(struct mediator *mediator, struct process *process, pid_t pid, int handle)
{
	process->pid = pid;
	process->handle = handle;
	process->handle_ended = event_new(mediator->base, handle, EV_READ, handle_readable, process);
	if (!process->handle_ended || event_add(process->handle_ended, NULL) < 0) {
		process_release(process);
		errno = ENOMEM;
		return -1;
	}
	LIST_INSERT_HEAD(&mediator->processes, process, link);
	return 0;
}

void process_release(struct process *process)
{
	if (process->handle_ended)
		event_free(process->handle_ended);
	process->handle_ended = NULL;
	if (process->handle >= 0)
		close(process->handle);
	process->handle = -1;
}

void process_signal(const struct process *process, int signal_number)
{
	/* Of one that is not our child the number may have been given to another by now. */
	if (process->handle_ended && syscall(SYS_pidfd_send_signal, process->handle, signal_number, NULL, 0) < 0)
		return;
	/* Both: a process can leave its group. It is not reaped yet, so neither number was given away. */
	kill(-process->pid, signal_number);
	kill(process->pid, signal_number);
}

void process_status_describe(int status, char *text, size_t text_bytes)
{
	if (WIFSIGNALED(status))
		snprintf(text, text_bytes, "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, text_bytes, "ended with code %d", WEXITSTATUS(status));
}
