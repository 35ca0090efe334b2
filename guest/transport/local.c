/* SPDX-License-Identifier: Apache-2.0 */
/* A process on the mediator's own machine: containers, tests (vgpu_control.h). */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control_socket.h"
#include "vgpu_channel.h"

/* The mediator has its own limit for an executor's start; this one only ends a wait for a stopped mediator. */
#define START_TIMEOUT_MS    180000
#define CONNECTION_VARIABLE "VGPU_CONNECTION"

struct local_transport {
	struct transport base;
	int control;
	int doorbell;
	int interrupt;
	int pass;
};

static struct local_transport *local_of(struct transport *transport)
{
	return (struct local_transport *)transport;
}

static void local_ring(struct transport *transport)
{
	const uint64_t one = 1;
	ssize_t written;

	/* It fails only when the counter is full, and then the executor is awake already. */
	do
		written = write(local_of(transport)->doorbell, &one, sizeof(one));
	while (written < 0 && errno == EINTR);
}

/* Anything that the mediator says or does on the control socket now means the end. */
static bool control_lost(struct local_transport *local)
{
	struct control_message message;
	int received = control_receive(local->control, &message);
	bool lost = true;

	if (received < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (received > 0) {
		lost = message.header.type == VGPU_CONTROL_CHANNEL_LOST;
		if (lost)
			local->base.lost_error = (enum vgpu_channel_error)message.channel.error;
		control_message_release(&message);
	}
	return lost;
}

static enum transport_event local_wait(struct transport *transport, int timeout_ms)
{
	struct local_transport *local = local_of(transport);
	struct pollfd pollers[] = {
		{.fd = local->interrupt, .events = POLLIN},
		{.fd = local->control, .events = POLLIN},
	};
	uint64_t count;

	if (poll(pollers, 2, timeout_ms) <= 0)
		return TRANSPORT_TIMEOUT;
	if (pollers[0].revents & POLLIN) {
		/* Replies that came before a loss are still delivered. */
		if (read(local->interrupt, &count, sizeof(count)) == sizeof(count))
			return TRANSPORT_INTERRUPT;
	}
	if (pollers[0].revents & (POLLERR | POLLNVAL) || (pollers[1].revents && control_lost(local)))
		return TRANSPORT_LOST;
	return TRANSPORT_TIMEOUT;
}

static int local_pass(struct transport *transport, int fd)
{
	char byte = 0;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr header;
		unsigned char bytes[CMSG_SPACE(sizeof(int))];
	} space = {0};
	struct msghdr packet = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &space,
		.msg_controllen = sizeof(space),
	};
	ssize_t sent;

	space.header.cmsg_level = SOL_SOCKET;
	space.header.cmsg_type = SCM_RIGHTS;
	space.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&space.header), &fd, sizeof(fd));
	do
		sent = sendmsg(local_of(transport)->pass, &packet, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -1 : 0;
}

static void descriptor_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void local_close(struct transport *transport)
{
	struct local_transport *local = local_of(transport);

	if (local->base.memory)
		munmap(local->base.memory, local->base.bytes);
	local->base.memory = NULL;
	descriptor_close(&local->control);
	descriptor_close(&local->doorbell);
	descriptor_close(&local->interrupt);
	descriptor_close(&local->pass);
}

static const struct transport_operations local_operations = {
	.ring = local_ring,
	.wait = local_wait,
	.pass = local_pass,
	.close = local_close,
};

/* The next message of the mediator; 0, or -1 with the failure set. */
static int message_await(int control, struct control_message *ret_message, struct transport_failure *ret_failure)
{
	struct pollfd poller = {.fd = control, .events = POLLIN};
	int ready;
	int received;

	do
		ready = poll(&poller, 1, START_TIMEOUT_MS);
	while (ready < 0 && errno == EINTR);
	if (ready == 0) {
		transport_failure_set(ret_failure, VGPU_ERROR_START_TIMEOUT, "the mediator does not answer");
		return -1;
	}
	received = control_receive(control, ret_message);
	if (received <= 0) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEDIATOR, "the mediator ended the connection%s%s",
				      received < 0 ? ": " : "", received < 0 ? strerror(errno) : "");
		return -1;
	}
	return 0;
}

static void refusal_set(struct transport_failure *failure, uint32_t error, const char *text)
{
	if (error == VGPU_ERROR_NONE || error > VGPU_ERROR_START_TIMEOUT)
		error = VGPU_ERROR_REFUSED;
	transport_failure_set(failure, (enum vgpu_channel_error)error, "the mediator refused: %s",
			      text[0] ? text : "no reason given");
}

static int client_greet(int control, bool is_greeted, struct transport_failure *ret_failure)
{
	struct control_message message = {0};
	int status = -1;

	snprintf(message.client_hello.process_name, sizeof(message.client_hello.process_name), "%s",
		 program_invocation_short_name);
	if (!is_greeted && control_send(control, VGPU_CONTROL_CLIENT_HELLO, &message) < 0) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEDIATOR, "cannot talk to the mediator: %s",
				      strerror(errno));
		return -1;
	}
	if (message_await(control, &message, ret_failure) < 0)
		return -1;
	if (message.header.version >> 16 != VGPU_PROTOCOL_MAJOR)
		transport_failure_set(ret_failure, VGPU_ERROR_VERSION, "mediator of version %u.%u, library of %u.%u",
				      message.header.version >> 16, message.header.version & 0xffff,
				      VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR);
	else if (message.header.type != VGPU_CONTROL_HELLO_REPLY)
		transport_failure_set(ret_failure, VGPU_ERROR_VERSION, "the mediator answers out of turn");
	else if (message.hello_reply.error != VGPU_ERROR_NONE)
		refusal_set(ret_failure, message.hello_reply.error, message.hello_reply.text);
	else
		status = 0;
	control_message_release(&message);
	return status;
}

/* Takes the channel's descriptors out of the message that brings them. */
static int channel_take(struct local_transport *local, struct control_message *message,
			struct transport_failure *ret_failure)
{
	uint64_t bytes = message->client_channel.channel_bytes;
	struct stat file;
	void *mapping;

	if (message->header.type == VGPU_CONTROL_CHANNEL_LOST || message->header.type == VGPU_CONTROL_CHANNEL_FAILED) {
		refusal_set(ret_failure, message->channel.error, message->channel.text);
		return -1;
	}
	if (message->header.type != VGPU_CONTROL_CLIENT_CHANNEL || message->fd_count != 4 ||
	    bytes < VGPU_CHANNEL_BYTES_MIN || bytes > SIZE_MAX / 2 || fstat(message->fds[0], &file) < 0 ||
	    file.st_size < 0 || (uint64_t)file.st_size < bytes) {
		transport_failure_set(ret_failure, VGPU_ERROR_PROTOCOL, "the mediator sent an unusable channel");
		return -1;
	}
	mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, message->fds[0], 0);
	if (mapping == MAP_FAILED) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEMORY, "cannot map the channel: %s", strerror(errno));
		return -1;
	}
	local->base.memory = mapping;
	local->base.bytes = bytes;
	local->base.can_pass = true;
	local->doorbell = message->fds[1];
	local->interrupt = message->fds[2];
	local->pass = message->fds[3];
	message->fds[1] = message->fds[2] = message->fds[3] = -1;
	return 0;
}

/*
 * A connection on which another program has greeted the mediator for this one (vgpu-jobs); once, for it is one channel.
 * -1: there is none.
 */
static int connection_inherited(void)
{
	const char *text = getenv(CONNECTION_VARIABLE);
	char *end = NULL;
	long number = text ? strtol(text, &end, 10) : -1;

	if (!text || *end || number <= STDERR_FILENO || number > INT_MAX || fcntl((int)number, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	unsetenv(CONNECTION_VARIABLE);
	return (int)number;
}

static int mediator_connect(const char *path, struct transport_failure *ret_failure)
{
	int control;

	if (path) {
		control = control_connect(path);
		if (control < 0)
			transport_failure_set(ret_failure, VGPU_ERROR_NO_MEDIATOR, "no mediator at %.107s: %s", path,
					      strerror(errno));
		return control;
	}
	control = control_connect(VGPU_SOCKET_PATH);
	if (control < 0)
		control = control_connect_checked(VGPU_SOCKET_PATH_FALLBACK);
	if (control < 0)
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEDIATOR,
				      "no mediator at %s or %s%s, and no /dev/vgpu0", VGPU_SOCKET_PATH,
				      VGPU_SOCKET_PATH_FALLBACK, errno == EPERM ? " (where another user listens)" : "");
	return control;
}

struct transport *transport_open_local(const char *path, struct transport_failure *ret_failure)
{
	struct local_transport *local = calloc(1, sizeof(*local));
	struct control_message message;
	bool is_greeted;
	int status;

	if (!local) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEMORY, "out of memory");
		return NULL;
	}
	local->base.operations = &local_operations;
	local->doorbell = local->interrupt = local->pass = -1;
	local->control = connection_inherited();
	is_greeted = local->control >= 0;
	if (!is_greeted)
		local->control = mediator_connect(path, ret_failure);
	if (local->control < 0 || client_greet(local->control, is_greeted, ret_failure) < 0 ||
	    message_await(local->control, &message, ret_failure) < 0)
		goto failed;
	status = channel_take(local, &message, ret_failure);
	control_message_release(&message);
	if (status < 0)
		goto failed;
	return &local->base;

failed:
	local_close(&local->base);
	free(local);
	return NULL;
}
