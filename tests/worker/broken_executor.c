/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An executor at a worker that was taken over, for the tests of how it ends. It lays its channel out and is ready, and
 * at the first doorbell does what VGPU_BROKEN_EXECUTOR says; then it waits for its mirror to hang up:
 *
 *   says-N        says that error of its end, and ends
 *   charged       says that it has charged more than there can be
 *   released      says that it has read what was never in the upload window
 *   called        says that it calls host functions that it has not called
 *   asks          once the file VGPU_BROKEN_BEGINS is there asks until it has an answer, makes the file
 *                 VGPU_BROKEN_ASKED and is stopped
 *   called-again  calls a host function again before the guest has returned
 *   floods        once the file VGPU_BROKEN_BEGINS is there says more slow calls than its link has room for, down to
 *                 less than the end is said with, makes the file VGPU_BROKEN_ASKED and goes on as "charged"
 *   stuck         is stuck, as VGPU_EXECUTOR_STUCK and stuck.h say, and has no thread that would end it
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "control_socket.h"
#include "stuck.h"
#include "vgpu_schedule.h"

/* Of the start of an executor at a worker. */
enum start_descriptor { START_MEMORY, START_DOORBELL, START_INTERRUPT, START_COUNTERS, START_BELL = 7, START_COUNT };

static void say(enum vgpu_control_type type, uint32_t error)
{
	struct control_message message = {.channel = {.error = error}};

	snprintf(message.channel.text, sizeof(message.channel.text), "%s", error ? "it is the host's fault" : "");
	if (control_send(VGPU_EXECUTOR_CONTROL_FD, type, &message) < 0)
		exit(3);
}

static void file_await(const char *path)
{
	while (access(path, F_OK) < 0)
		usleep(1000);
}

/* Beside the executor, whose main thread is not to run any more. */
static void ask(void)
{
	pid_t executor = getpid();
	pid_t child = fork();
	struct control_message message;

	if (child < 0)
		exit(5);
	if (child)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	file_await(getenv("VGPU_BROKEN_BEGINS"));
	do {
		message = (struct control_message){.tenant_query = {.pci_place = 0}};
		if (control_send(VGPU_EXECUTOR_CONTROL_FD, VGPU_CONTROL_TENANT_QUERY, &message) < 0)
			_exit(6);
		usleep(10000);
	} while (recv(VGPU_EXECUTOR_CONTROL_FD, &message, sizeof(message), MSG_DONTWAIT) < 0);
	kill(executor, SIGSTOP);
	close(open(getenv("VGPU_BROKEN_ASKED"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	for (;;)
		pause();
}

#define SLOW_LINE_BYTES 240
#define SLOW_LINES	20000
#define SHORT_LINE	": slow call: \n"
#define SHORT_LINES	2000

static void flood(void)
{
	char line[SLOW_LINE_BYTES] = SHORT_LINE;

	memset(line + sizeof(SHORT_LINE) - 2, '-', sizeof(line) - sizeof(SHORT_LINE) + 1);
	line[sizeof(line) - 1] = '\n';
	file_await(getenv("VGPU_BROKEN_BEGINS"));
	for (unsigned i = 0; i < SLOW_LINES; i++) {
		if (write(STDERR_FILENO, line, sizeof(line)) < 0)
			exit(7);
	}
	for (unsigned i = 0; i < SHORT_LINES; i++) {
		if (write(STDERR_FILENO, SHORT_LINE, sizeof(SHORT_LINE) - 1) < 0)
			exit(7);
	}
	close(open(getenv("VGPU_BROKEN_ASKED"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static void misbehave(struct channel *channel, struct vgpu_executor_schedule *claims)
{
	const char *how = getenv("VGPU_BROKEN_EXECUTOR");

	if (strncmp(how, "says-", 5) == 0) {
		say(VGPU_CONTROL_EXECUTOR_FAULT, (uint32_t)atoi(how + 5));
		exit(0);
	}
	if (strcmp(how, "stuck") == 0)
		stuck_sleep(getenv("VGPU_EXECUTOR_STUCK"));
	if (strcmp(how, "asks") == 0)
		ask();
	if (strcmp(how, "floods") == 0)
		flood();
	if (strcmp(how, "charged") == 0 || strcmp(how, "floods") == 0)
		__atomic_store_n(&claims->handles, UINT64_C(1) << 60, __ATOMIC_RELAXED);
	if (strcmp(how, "released") == 0)
		channel_upload_release(channel, 4096);
	if (strcmp(how, "called") == 0)
		channel_function_call(channel, &(struct channel_call){.use = VGPU_FUNCTION_DELIVER}, 7);
	if (strcmp(how, "called-again") == 0) {
		for (uint32_t called = 1; called < 1000; called++) {
			channel_function_call(channel, &(struct channel_call){.function = 1}, called);
			channel_notify(channel);
			usleep(10000);
		}
	}
}

int main(void)
{
	const uint64_t one = 1;
	struct channel channel;
	struct channel_memory memory;
	struct control_message start;
	unsigned char *counters;

	if (control_receive(VGPU_EXECUTOR_CONTROL_FD, &start) != 1 || start.fd_count <= START_BELL)
		return 2;
	memory = channel_memory_of(&start.executor_start, start.fds[START_MEMORY]);
	counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, start.fds[START_COUNTERS], 0);
	if (counters == MAP_FAILED ||
	    channel_open(&channel, &memory, start.fds[START_DOORBELL], start.fds[START_INTERRUPT]) < 0)
		return 2;
	/* Else the guest rings only at the first time. */
	(void)ring_prepare_sleep(&channel.commands);
	say(VGPU_CONTROL_EXECUTOR_READY, VGPU_ERROR_NONE);
	for (;;) {
		struct pollfd sources[] = {
			{.fd = VGPU_EXECUTOR_CONTROL_FD, .events = POLLRDHUP},
			{.fd = channel.doorbell, .events = POLLIN},
		};

		if (poll(sources, 2, -1) < 0 || sources[0].revents)
			return 0;
		channel_doorbell_clear(&channel);
		misbehave(&channel, (void *)(counters + VGPU_SCHEDULE_OFFSET));
		channel_notify(&channel);
		if (write(start.fds[START_BELL], &one, sizeof(one)) < 0)
			return 4;
	}
}
