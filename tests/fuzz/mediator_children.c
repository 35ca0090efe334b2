/* SPDX-License-Identifier: Apache-2.0 */
#include "mediator_children.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "control_socket.h"
#include "mediator.h"

/* Of no process: numbers of processes are smaller. */
#define NUMBER_FIRST 0x7f000000

static struct child children[CHILDREN_MAX];

int __wrap_process_start(struct mediator *mediator, const struct process_plan *plan, struct process *process);
void __wrap_process_signal(const struct process *process, int signal_number);

static int descriptor_copy(int descriptor)
{
	return descriptor < 0 ? -1 : fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
}

int __wrap_process_start(struct mediator *mediator, const struct process_plan *plan, struct process *process)
{
	struct child *child = children;

	while (child < children + CHILDREN_MAX && child->process)
		child++;
	if (child == children + CHILDREN_MAX) {
		errno = EAGAIN;
		return -1;
	}
	*child = (struct child){
		.process = process,
		.output = descriptor_copy(plan->output),
		.error = descriptor_copy(plan->error),
		.control = descriptor_copy(plan->control),
	};
	for (char *const *argument = plan->arguments; *argument; argument++)
		child->is_probe |= strcmp(*argument, "--probe") == 0;
	process->pid = NUMBER_FIRST + (pid_t)(child - children);
	process->handle = -1;
	LIST_INSERT_HEAD(&mediator->processes, process, link);
	return 0;
}

void __wrap_process_signal(const struct process *process, int signal_number)
{
	for (struct child *child = children; child < children + CHILDREN_MAX; child++) {
		if (child->process == process && signal_number == SIGKILL)
			child->is_killed = true;
	}
}

struct child *children_find(size_t number)
{
	size_t count = 0;

	for (size_t i = 0; i < CHILDREN_MAX; i++)
		count += children[i].process != NULL;
	if (!count)
		return NULL;
	number %= count;
	for (struct child *child = children;; child++) {
		if (child->process && number-- == 0)
			return child;
	}
}

struct child *children_probe(void)
{
	struct child *child = children;

	while (child < children + CHILDREN_MAX && !(child->process && child->is_probe))
		child++;
	return child < children + CHILDREN_MAX ? child : NULL;
}

static void descriptor_close(int descriptor)
{
	if (descriptor >= 0)
		close(descriptor);
}

void child_exit(struct child *child, int status)
{
	struct process *process = child->process;

	descriptor_close(child->output);
	descriptor_close(child->error);
	if (child->control >= 0)
		control_drain(child->control);
	descriptor_close(child->control);
	child->process = NULL;
	LIST_REMOVE(process, link);
	process->exited(process, status);
}

static bool is_hung_up(int control)
{
	struct pollfd wait = {.fd = control, .events = POLLRDHUP};

	return poll(&wait, 1, 0) > 0 && wait.revents & (POLLRDHUP | POLLHUP);
}

void children_end(bool all)
{
	for (struct child *child = children; child < children + CHILDREN_MAX; child++) {
		if (!child->process)
			continue;
		if (child->is_killed)
			child_exit(child, SIGKILL);
		else if (all || is_hung_up(child->control))
			child_exit(child, 0);
	}
}

void control_drain(int control)
{
	struct control_message message;
	struct pollfd wait = {.fd = control, .events = POLLIN};

	while (poll(&wait, 1, 0) > 0 && wait.revents & POLLIN && control_receive(control, &message) > 0)
		control_message_release(&message);
}
