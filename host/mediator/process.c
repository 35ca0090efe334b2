/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "mediator.h"

#define ENVIRONMENT_COUNT_MAX 64
#define SIGNAL_PROCESS_GROUP  4 /* PIDFD_SIGNAL_PROCESS_GROUP */

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

int process_start(struct mediator *mediator, const struct process_plan *plan, struct process *process)
{
	const char *environment[ENVIRONMENT_COUNT_MAX + 1];
	pid_t child;

	environment_make(mediator, plan->variables, environment);
	child = child_process_start(&(struct child_plan){
		.path = plan->path,
		.arguments = plan->arguments,
		.environment = environment,
		.output = plan->output,
		.error = plan->error,
		.control = plan->control,
		.outlives = plan->outlives,
		.identity = plan->identity ? plan->identity : &mediator->executor_identity,
	});
	if (child < 0)
		return -1;
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
	/*
	 * Of one that is not our child the numbers may be others' at any time. Where the kernel cannot signal the group
	 * by its handle (before Linux 6.9) the process has to do: it was ready, and its sandbox lets it make no others.
	 */
	if (process->handle_ended) {
		(void)syscall(SYS_pidfd_send_signal, process->handle, signal_number, NULL, SIGNAL_PROCESS_GROUP);
		(void)syscall(SYS_pidfd_send_signal, process->handle, signal_number, NULL, 0);
		return;
	}
	/* Both: a process can leave its group. It is not reaped yet, so neither number was given away. */
	kill(-process->pid, signal_number);
	kill(process->pid, signal_number);
}
