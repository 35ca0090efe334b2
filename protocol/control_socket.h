/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending and receiving control messages (vgpu_control.h) on a SOCK_SEQPACKET
 * socket.  Used by the mediator, the executor and the guest library; the QEMU
 * device has its own, in QEMU's terms.
 */
#ifndef VGPU_CONTROL_SOCKET_H
#define VGPU_CONTROL_SOCKET_H

#include <stddef.h>

#include "vgpu_control.h"

struct control_message {
	union {
		struct vgpu_control_header header;
		struct vgpu_control_device_hello device_hello;
		struct vgpu_control_client_hello client_hello;
		struct vgpu_control_hello_reply hello_reply;
		struct vgpu_control_channel channel;
		struct vgpu_control_client_channel client_channel;
		struct vgpu_control_executor_start executor_start;
		struct vgpu_control_tenant_query tenant_query;
		struct vgpu_control_tenant_reply tenant_reply;
		struct vgpu_control_share share;
		struct vgpu_control_guest_process guest_process;
		struct vgpu_control_guest_devices guest_devices;
		struct vgpu_control_driver_result driver_result;
		unsigned char bytes[VGPU_CONTROL_BYTES_MAX];
	};
	int fds[VGPU_CONTROL_FDS_MAX]; /* owned by the receiver of the message */
	size_t fd_count;
};

/*
 * Sends 'message', whose body is filled in; the header is written here from 'type'. The descriptors
 * stay the caller's. 0, or -1 with errno (EAGAIN: the peer does not read; EPIPE: it is gone).
 */
int control_send(int socket, enum vgpu_control_type type, struct control_message *message);

/*
 * Receives one message and checks magic, size and type against each other, and that texts are
 * terminated. 1: a message; 0: the peer closed; -1 with errno (EAGAIN: none yet; EPROTO: not one of
 * ours, the connection should be closed). Descriptors are close-on-exec; those of a refused message
 * have been closed.
 */
int control_receive(int socket, struct control_message *ret_message);

/* Closes the message's descriptors that are still there (-1: taken). */
void control_message_release(struct control_message *message);

/*
 * Connects to a mediator's socket. Descriptor, or -1 with errno. The first waits where too many others do so, the
 * second fails (EAGAIN).
 */
int control_connect(const char *path);
int control_connect_now(const char *path);

#endif
