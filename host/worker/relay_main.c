/* SPDX-License-Identifier: Apache-2.0 */
/* vgpu-relay: started by the mediator in the place of cuda-executor, for a channel whose GPU a worker has. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control_socket.h"
#include "relay.h"
#include "relay_connect.h"
#include "relay_lanes.h"
#include "relay_open.h"
#include "relay_watch.h"
#include "sandbox.h"

#define EXIT_START     1
#define EXIT_FAULT     2
#define EXIT_USAGE     64
#define START_MS       60000 /* the mediator is less patient */
#define START_ONCE_MS  10000 /* where there are others */
#define COUNTERS_BYTES 4096
#define LANES_ARGUMENT "lanes="

/* With the start, where the guest has no pass socket. */
enum start_descriptor {
	START_MEMORY,
	START_DOORBELL,
	START_INTERRUPT,
	START_COUNTERS,
	START_PERMIT,
	START_TENANT,
	START_WAKE,
	START_BELL,
	START_CREDENTIALS,
	START_COUNT
};

static struct relay relay = {.control = VGPU_EXECUTOR_CONTROL_FD, .link = {.socket = -1}};

static void answer(enum vgpu_control_type type)
{
	struct control_message message = {.channel = {.channel = relay.channel_number, .error = relay.fault}};

	if (relay.fault == VGPU_ERROR_EXECUTOR_HUNG)
		message.channel.pci_place = relay.last.pci_place;
	snprintf(message.channel.text, sizeof(message.channel.text), "%s", relay.fault_text);
	if (relay.fault)
		fprintf(stderr, "[vgpu-relay] %s\n", relay.fault_text);
	/* A mediator that is gone needs no answer. */
	if (control_send(relay.control, type, &message) < 0 && errno != EPIPE)
		fprintf(stderr, "[vgpu-relay] the mediator cannot be told: %s\n", strerror(errno));
}

static bool link_open_to(struct relay_connect_plan *plan, int credentials)
{
	struct relay_connect_failure failure;

	plan->credentials = credentials;
	if (relay_connect(&relay.link, plan, &failure))
		return true;
	relay_fault(&relay, failure.error, "%s", failure.text);
	return false;
}

static bool schedule_take(const struct control_message *message, size_t pass)
{
	int error = relay_schedule_open(&relay.schedule, relay.counters, message->fds[START_PERMIT + pass],
					message->fds[START_TENANT + pass], message->fds[START_WAKE + pass],
					message->fds[START_BELL + pass]);

	if (error)
		relay_fault(&relay, VGPU_ERROR_NO_MEMORY, "cannot map the permit: %s", strerror(-error));
	return error == 0;
}

static bool start_take(struct control_message *message, struct relay_connect_plan *plan)
{
	const struct vgpu_control_executor_start *start = &message->executor_start;
	size_t pass = start->has_pass_socket ? 1 : 0;
	struct channel_memory memory;
	struct stat counters;
	int error;

	if (message->header.type != VGPU_CONTROL_EXECUTOR_START || !start->has_schedule ||
	    message->fd_count != START_COUNT + pass) {
		relay_fault(&relay, VGPU_ERROR_PROTOCOL, "the mediator sent no start");
		return false;
	}
	relay.channel_number = start->channel;
	memory = channel_memory_of(start, message->fds[START_MEMORY]);
	/* What lies there would not cross. The executor lays its channel out as this one is. */
	memory.has_area = false;
	memory.is_far = true;
	error = channel_open(&relay.channel, &memory, message->fds[START_DOORBELL], message->fds[START_INTERRUPT]);
	if (error) {
		relay_fault(&relay, VGPU_ERROR_NO_MEMORY, "cannot map the channel's memory: %s", strerror(-error));
		return false;
	}
	message->fds[START_DOORBELL] = message->fds[START_INTERRUPT] = -1;
	relay.counters = MAP_FAILED;
	if (fstat(message->fds[START_COUNTERS], &counters) == 0 && counters.st_size >= COUNTERS_BYTES)
		relay.counters =
			mmap(NULL, COUNTERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, message->fds[START_COUNTERS], 0);
	if (relay.counters == MAP_FAILED) {
		relay_fault(&relay, VGPU_ERROR_NO_MEMORY, "cannot map the counters");
		return false;
	}
	if (!schedule_take(message, pass))
		return false;
	message->fds[START_WAKE + pass] = message->fds[START_BELL + pass] = -1;
	return link_open_to(plan, message->fds[START_CREDENTIALS + pass]) &&
	       relay_open(&relay, start, plan, plan->once ? START_ONCE_MS : START_MS);
}

int main(int count, char **arguments)
{
	struct relay_connect_plan plan = {.worker = count > 1 ? arguments[1] : NULL};
	struct control_message message;
	bool is_watch = false;
	bool has_sensors = false;
	bool is_started;
	int error;

	if (count < 2) {
		fputs("usage: vgpu-relay HOST:PORT [SILENCE_MS [pack] [once] [watch [sensors]] [lanes=N]]\n\nThe "
		      "mediator starts "
		      "it.\n",
		      stderr);
		return EXIT_USAGE;
	}
	relay.lanes_wanted = relay_lanes_usual();
	relay.silence_ms = count > 2 ? strtoul(arguments[2], NULL, 10) : LINK_SILENCE_MS;
	for (int i = 3; i < count; i++) {
		/* Without it the data goes as it is. */
		if (strcmp(arguments[i], "pack") == 0)
			(void)packer_open(&relay.packer);
		plan.once |= strcmp(arguments[i], "once") == 0;
		is_watch |= strcmp(arguments[i], "watch") == 0;
		has_sensors |= strcmp(arguments[i], "sensors") == 0;
		if (strncmp(arguments[i], LANES_ARGUMENT, strlen(LANES_ARGUMENT)) == 0)
			relay.lanes_wanted = (unsigned)strtoul(arguments[i] + strlen(LANES_ARGUMENT), NULL, 10);
	}
	/* A link that is to be packed is slower than one core. */
	if (relay.packer.context)
		relay.lanes_wanted = 0;
	else if (relay.lanes_wanted > LANES_MAX)
		relay.lanes_wanted = LANES_MAX;
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0);
	if (is_watch)
		return relay_watch(plan.worker, VGPU_EXECUTOR_CONTROL_FD, relay.silence_ms, has_sensors);
	if (control_receive(relay.control, &message) <= 0)
		return EXIT_START;
	is_started = start_take(&message, &plan);
	control_message_release(&message);
	if (!is_started) {
		answer(VGPU_CONTROL_EXECUTOR_FAILED);
		return EXIT_START;
	}
	answer(VGPU_CONTROL_EXECUTOR_READY);
	error = sandbox_enter();
	if (error)
		relay_fault(&relay, VGPU_ERROR_EXECUTOR_DIED, "cannot enter the sandbox: %s", strerror(-error));
	if (!relay.fault && relay_lanes_start(&relay))
		relay_run(&relay);
	relay_lanes_end(&relay);
	if (relay.close_end_ms)
		return 0;
	answer(VGPU_CONTROL_EXECUTOR_FAULT);
	return EXIT_FAULT;
}
