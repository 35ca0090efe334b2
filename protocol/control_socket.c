/* SPDX-License-Identifier: Apache-2.0 */
#include "control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What a packet of a type looks like: its size, and where its texts end. */
struct message_shape {
	size_t bytes;
	size_t text_offset;
	size_t text_bytes; /* 0: no text */
};

#define SHAPE(type)                   \
	{                             \
		.bytes = sizeof(type) \
	}
#define SHAPE_WITH_TEXT(type, text)                                                                                 \
	{                                                                                                           \
		.bytes = sizeof(type), .text_offset = offsetof(type, text), .text_bytes = sizeof(((type *)0)->text) \
	}

static const struct message_shape shapes[] = {
	[VGPU_CONTROL_DEVICE_HELLO] = SHAPE_WITH_TEXT(struct vgpu_control_device_hello, vm_name),
	[VGPU_CONTROL_CLIENT_HELLO] = SHAPE_WITH_TEXT(struct vgpu_control_client_hello, process_name),
	[VGPU_CONTROL_HELLO_REPLY] = SHAPE_WITH_TEXT(struct vgpu_control_hello_reply, text),
	[VGPU_CONTROL_CHANNEL_OPEN] = SHAPE_WITH_TEXT(struct vgpu_control_channel, text),
	[VGPU_CONTROL_CHANNEL_READY] = SHAPE_WITH_TEXT(struct vgpu_control_channel, text),
	[VGPU_CONTROL_CHANNEL_FAILED] = SHAPE_WITH_TEXT(struct vgpu_control_channel, text),
	[VGPU_CONTROL_CHANNEL_CLOSE] = SHAPE_WITH_TEXT(struct vgpu_control_channel, text),
	[VGPU_CONTROL_CHANNEL_CLOSED] = SHAPE_WITH_TEXT(struct vgpu_control_channel, text),
	[VGPU_CONTROL_CHANNEL_LOST] = SHAPE_WITH_TEXT(struct vgpu_control_channel, text),
	[VGPU_CONTROL_CLIENT_CHANNEL] = SHAPE(struct vgpu_control_client_channel),
	[VGPU_CONTROL_EXECUTOR_START] = SHAPE_WITH_TEXT(struct vgpu_control_executor_start, driver_library),
	[VGPU_CONTROL_EXECUTOR_READY] = SHAPE_WITH_TEXT(struct vgpu_control_channel, text),
	[VGPU_CONTROL_EXECUTOR_FAILED] = SHAPE_WITH_TEXT(struct vgpu_control_channel, text),
	[VGPU_CONTROL_EXECUTOR_FAULT] = SHAPE_WITH_TEXT(struct vgpu_control_channel, text),
	[VGPU_CONTROL_TENANT_QUERY] = SHAPE(struct vgpu_control_tenant_query),
	[VGPU_CONTROL_TENANT_REPLY] = SHAPE(struct vgpu_control_tenant_reply),
	[VGPU_CONTROL_SHARE_PUBLISH] = SHAPE(struct vgpu_control_share),
	[VGPU_CONTROL_SHARE_QUERY] = SHAPE(struct vgpu_control_share),
	[VGPU_CONTROL_SHARE_REPLY] = SHAPE(struct vgpu_control_share),
	[VGPU_CONTROL_SHARE_WITHDRAW] = SHAPE(struct vgpu_control_share),
	[VGPU_CONTROL_GUEST_PROCESS] = SHAPE(struct vgpu_control_guest_process),
	[VGPU_CONTROL_GUEST_DEVICES] = SHAPE_WITH_TEXT(struct vgpu_control_guest_devices, visible),
	[VGPU_CONTROL_DRIVER_RESULT] = SHAPE_WITH_TEXT(struct vgpu_control_driver_result, name),
};

#define SHAPE_COUNT (sizeof(shapes) / sizeof(shapes[0]))

_Static_assert(sizeof(struct vgpu_control_tenant_reply) <= VGPU_CONTROL_BYTES_MAX, "the largest message fits");

static const struct message_shape *shape_find(uint32_t type)
{
	if (type >= SHAPE_COUNT || shapes[type].bytes == 0)
		return NULL;
	return &shapes[type];
}

static bool message_matches(const struct control_message *message, size_t received)
{
	const struct message_shape *shape;

	if (received < sizeof(message->header) || message->header.magic != VGPU_CONTROL_MAGIC ||
	    message->header.bytes != received)
		return false;
	shape = shape_find(message->header.type);
	if (!shape || shape->bytes != received)
		return false;
	return shape->text_bytes == 0 || memchr(message->bytes + shape->text_offset, '\0', shape->text_bytes);
}

/*
 * Room for the descriptors of one message, aligned as the kernel wants it. There may be more than are expected:
 * those for which there were no room the kernel would close itself, and we would wait for that.
 */
union descriptor_space {
	struct cmsghdr header;
	unsigned char bytes[CMSG_SPACE(CONTROL_DESCRIPTORS_MAX * sizeof(int))];
};

static void descriptor_close(int descriptor)
{
	close(descriptor);
}

static void (*peers_close)(int) = descriptor_close;

void control_descriptor_close(int descriptor)
{
	if (descriptor >= 0)
		peers_close(descriptor);
}

void control_closing_set(void (*close_descriptor)(int))
{
	peers_close = close_descriptor ? close_descriptor : descriptor_close;
}

int control_packet_send(int socket, const void *data, size_t bytes, const int *descriptors, size_t count)
{
	union descriptor_space space;
	struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = bytes};
	struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t sent;

	if (count > VGPU_CONTROL_FDS_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (count > 0) {
		memset(&space, 0, sizeof(space));
		space.header.cmsg_level = SOL_SOCKET;
		space.header.cmsg_type = SCM_RIGHTS;
		space.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&space.header), descriptors, count * sizeof(int));
		packet.msg_control = &space;
		packet.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	do
		sent = sendmsg(socket, &packet, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	/* SOCK_SEQPACKET sends a packet whole or not at all. */
	return sent < 0 ? -1 : 0;
}

int control_send(int socket, enum vgpu_control_type type, struct control_message *message)
{
	const struct message_shape *shape = shape_find(type);

	if (!shape) {
		errno = EINVAL;
		return -1;
	}
	message->header = (struct vgpu_control_header){
		.magic = VGPU_CONTROL_MAGIC,
		.type = type,
		.bytes = (uint32_t)shape->bytes,
		.version = VGPU_PROTOCOL_VERSION,
	};
	return control_packet_send(socket, message->bytes, shape->bytes, message->fds, message->fd_count);
}

/* False: there were more than a message has. */
static bool descriptors_take(struct msghdr *packet, struct control_message *message)
{
	bool is_sane = true;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(packet); part; part = CMSG_NXTHDR(packet, part)) {
		size_t bytes;

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS ||
		    part->cmsg_len < CMSG_LEN(sizeof(int)))
			continue;
		bytes = part->cmsg_len - CMSG_LEN(0);
		for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + at, sizeof(fd));
			if (message->fd_count < VGPU_CONTROL_FDS_MAX) {
				message->fds[message->fd_count++] = fd;
			} else {
				peers_close(fd);
				is_sane = false;
			}
		}
	}
	return is_sane;
}

int control_receive(int socket, struct control_message *ret_message)
{
	struct control_message message;
	union descriptor_space space;
	struct iovec part = {.iov_base = message.bytes, .iov_len = sizeof(message.bytes)};
	struct msghdr packet = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &space,
		.msg_controllen = sizeof(space),
	};
	ssize_t received;
	bool is_sane;

	memset(&message, 0, sizeof(message));
	memset(&space, 0, sizeof(space));
	do
		received = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return -1;
	is_sane = descriptors_take(&packet, &message);
	if (received == 0) {
		control_message_release(&message);
		return 0;
	}
	if (!is_sane || (packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    !message_matches(&message, (size_t)received)) {
		control_message_release(&message);
		errno = EPROTO;
		return -1;
	}
	*ret_message = message;
	return 1;
}

int control_receive_bare(int socket, struct control_message *ret_message)
{
	struct msghdr packet = {.msg_iov = NULL};
	ssize_t looked;

	/* Without room for descriptors it says whether there are any, and they stay where they are. */
	do
		looked = recvmsg(socket, &packet, MSG_PEEK);
	while (looked < 0 && errno == EINTR);
	if (looked < 0)
		return -1;
	if ((packet.msg_flags & MSG_CTRUNC) != 0) {
		errno = EBADMSG;
		return -1;
	}
	return control_receive(socket, ret_message);
}

ssize_t control_read_bare(int socket, void *ret_data, size_t bytes)
{
	struct iovec part = {.iov_base = ret_data, .iov_len = bytes};
	struct msghdr piece = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t looked = recvmsg(socket, &piece, MSG_PEEK | MSG_DONTWAIT);

	if (looked > 0 && (piece.msg_flags & MSG_CTRUNC) != 0) {
		errno = EBADMSG;
		return -1;
	}
	/* What was looked at and no more: the next byte may bring one. */
	return looked > 0 ? recv(socket, ret_data, (size_t)looked, MSG_DONTWAIT) : looked;
}

int control_output_create(int *ret_ours, int *ret_childs)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	/* It is for one direction. */
	shutdown(ends[0], SHUT_WR);
	*ret_ours = ends[0];
	*ret_childs = ends[1];
	return 0;
}

void control_message_release(struct control_message *message)
{
	for (size_t i = 0; i < message->fd_count; i++) {
		control_descriptor_close(message->fds[i]);
		message->fds[i] = -1;
	}
	message->fd_count = 0;
}

static int socket_connect(const char *path, int flags)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	int connected;
	int error;

	if (length >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, length + 1);
	connected = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
	if (connected < 0)
		return -1;
	do
		error = connect(connected, (const struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	while (error == EINTR);
	if (error) {
		close(connected);
		errno = error;
		return -1;
	}
	return connected;
}

int control_connect(const char *path)
{
	return socket_connect(path, 0);
}

int control_connect_checked(const char *path)
{
	int connected = socket_connect(path, 0);
	struct ucred listener;
	socklen_t bytes = sizeof(listener);

	if (connected < 0)
		return -1;
	/* Of a socket that has connected it is who listens there. */
	if (getsockopt(connected, SOL_SOCKET, SO_PEERCRED, &listener, &bytes) == 0 &&
	    (listener.uid == 0 || listener.uid == geteuid()))
		return connected;
	close(connected);
	errno = EPERM;
	return -1;
}

int control_connect_now(const char *path)
{
	int connected = socket_connect(path, SOCK_NONBLOCK);

	/* Whoever uses it later waits as he likes. */
	if (connected >= 0 && fcntl(connected, F_SETFL, 0) < 0) {
		close(connected);
		return -1;
	}
	return connected;
}
