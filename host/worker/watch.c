/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"
#include "worker_watch.h"

/* Between two starts of a program that has ended: a driver that is not there yet, a worker without NVML. */
#define PROBE_AGAIN_S  10
#define EVENTS_AGAIN_S 30
#define SENSORS_EACH_S 10
#define SENSORS_WAIT_S 30
#define PIECE_BYTES    4096
#define NAME	       "vgpu-watch"

static _Noreturn void program_become(char *const *arguments, pid_t parent)
{
	struct sigaction initial = {.sa_handler = SIG_DFL};
	sigset_t none;

	sigemptyset(&none);
	for (int number = 1; number < NSIG; number++)
		sigaction(number, &initial, NULL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
		execv(arguments[0], arguments);
	_exit(127);
}

/* True: it has ended well. */
static bool program_run(char *const *arguments)
{
	pid_t self = getpid();
	pid_t child = fork();
	int status;

	if (child == 0)
		program_become(arguments, self);
	while (child > 0 && waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return false;
	}
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* What the program prints, each line in one piece, for others write there too. */
static void sensors_forward(char *const *arguments)
{
	pid_t self = getpid();
	char line[512];
	FILE *lines;
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	child = fork();
	if (child == 0) {
		if (dup2(ends[1], STDOUT_FILENO) < 0)
			_exit(127);
		/* The signal ends it: what takes longer is no answer. */
		alarm(SENSORS_WAIT_S);
		program_become(arguments, self);
	}
	close(ends[1]);
	lines = fdopen(ends[0], "r");
	while (lines && fgets(line, sizeof(line), lines)) {
		if (strchr(line, '\n'))
			dprintf(STDOUT_FILENO, WORKER_SENSORS_PREFIX "%s", line);
	}
	if (lines)
		fclose(lines);
	else
		close(ends[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	dprintf(STDOUT_FILENO, WORKER_SENSORS_PREFIX WORKER_SENSORS_END "\n");
}

/* Beside the program that waits for errors; ends with its parent. */
static void sensors_start(char *executor)
{
	char sensors[] = "--sensors";
	char *const arguments[] = {executor, sensors, NULL};
	pid_t parent = getpid();

	if (fork() != 0)
		return;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	for (;;) {
		sensors_forward(arguments);
		sleep(SENSORS_EACH_S);
	}
}

/* Has only the pipe, as its standard output, which the programs inherit; ends with its parent. */
static _Noreturn void programs_run(const struct watch_plan *plan)
{
	char executor[4096];
	char driver[4096];
	char probe[] = "--probe";
	char events[] = "--gpu-events";
	char *const probe_arguments[] = {executor, probe, driver, NULL};
	char *const events_arguments[] = {executor, events, NULL};

	snprintf(executor, sizeof(executor), "%s", plan->executor);
	snprintf(driver, sizeof(driver), "%s", plan->driver);
	while (!program_run(probe_arguments))
		sleep(PROBE_AGAIN_S);
	dprintf(STDOUT_FILENO, "ready\n");
	if (plan->has_sensors)
		sensors_start(executor);
	for (;;) {
		(void)program_run(events_arguments);
		sleep(EVENTS_AGAIN_S);
	}
}

/* The reading end of the pipe, or -1 with errno. */
static int programs_start(const struct watch_plan *plan)
{
	pid_t parent = getpid();
	pid_t child;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	child = fork();
	if (child == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || dup2(ends[1], STDOUT_FILENO) < 0)
			_exit(127);
		/* The link is not this process's. Before Linux 5.9 it has a copy that it does not use. */
		(void)close_range(STDERR_FILENO + 1, ~0u, 0);
		programs_run(plan);
	}
	close(ends[1]);
	if (child < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
		close(ends[0]);
		return -1;
	}
	return ends[0];
}

/* Nothing but signs of life is expected. False: it is lost. */
static bool frames_take(struct link *link)
{
	bool is_lost = !link_fill(link);
	struct link_view view;
	int found;

	while ((found = link_peek(link, &view)) > 0) {
		bool is_alive = view.type == LINK_ALIVE;

		link_consume(link, &view);
		if (!is_alive) {
			snprintf(link->reason, sizeof(link->reason), "a frame of type %d in a watch", view.type);
			return false;
		}
	}
	return found == 0 && !is_lost;
}

/* False: whoever writes it has ended. */
static bool text_forward(struct link *link, int pipe)
{
	char text[PIECE_BYTES];
	ssize_t got;

	if (link_room(link) < sizeof(text))
		return true;
	got = read(pipe, text, sizeof(text));
	if (got > 0)
		memcpy(link_put(link, LINK_TEXT, (uint32_t)got, false), text, (size_t)got);
	return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

static void watch_run(struct link *link, int pipe, unsigned silence_ms)
{
	while (text_forward(link, pipe)) {
		uint64_t now = link_now_ms();
		struct pollfd waits[] = {{.fd = link->socket, .events = POLLIN}, {.fd = pipe, .events = POLLIN}};

		if (now >= link->alive_ms && link_room(link) > 0) {
			link_put(link, LINK_ALIVE, 0, false);
			link->alive_ms = now + LINK_ALIVE_MS;
		}
		if (!link_flush(link))
			return;
		if (!link_is_flushed(link))
			waits[0].events |= POLLOUT;
		if (link_room(link) < PIECE_BYTES)
			waits[1].fd = -1;
		if (poll(waits, 2, LINK_ALIVE_MS) < 0 && errno != EINTR)
			return;
		if (!frames_take(link))
			return;
		if (link_now_ms() - link->heard_ms > silence_ms) {
			snprintf(link->reason, sizeof(link->reason), "the host is silent");
			return;
		}
	}
	snprintf(link->reason, sizeof(link->reason), "the GPUs are not watched any more");
}

void watch_serve(struct link *link, const struct watch_plan *plan)
{
	const struct link_status ready = {0};
	int pipe, error;

	prctl(PR_SET_NAME, NAME);
	pipe = programs_start(plan);
	error = pipe < 0 ? -errno : sandbox_enter();
	if (error) {
		snprintf(link->reason, sizeof(link->reason), "the GPUs cannot be watched: %s", strerror(-error));
		return;
	}
	memcpy(link_put(link, LINK_STATUS, sizeof(ready), false), &ready, sizeof(ready));
	watch_run(link, pipe, plan->silence_ms);
}
