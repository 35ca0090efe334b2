/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending and receiving control messages (vgpu_control.h) on a SOCK_SEQPACKET
 * socket.  Used by the mediator, the executor and the guest library; the QEMU
 * device has its own, in QEMU's terms.
 */
#ifndef VGPU_CONTROL_SOCKET_H
#define VGPU_CONTROL_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

#include "vgpu_control.h"

/* That one message of Linux can bring (SCM_MAX_FD), whatever is expected. */
#define CONTROL_DESCRIPTORS_MAX 253

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
 * Sends any packet over a SOCK_SEQPACKET socket, with at most VGPU_CONTROL_FDS_MAX descriptors, which stay the
 * caller's. 0, or -1 with errno.
 */
int control_packet_send(int socket, const void *data, size_t bytes, const int *descriptors, size_t count);

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

/*
 * The same of a peer that has no descriptors to send: a message with some stays where it is (EBADMSG), for to receive
 * them is to close them. The socket is to be closed by closer_hang_up().
 */
int control_receive_bare(int socket, struct control_message *ret_message);

/* read() of a stream, which does not wait, and with such bytes fails in the same way. */
ssize_t control_read_bare(int socket, void *ret_data, size_t bytes);

/*
 * In the place of a pipe, for what a child writes: its end is like any output. Ours is read by control_read_bare(), and
 * closed by control_descriptor_close(). A reader of a pipe waits for its lock, which a writer holds for as long as the
 * page that he writes does not come. 0, or -1 with errno.
 */
int control_output_create(int *ret_ours, int *ret_childs);

/* Closes the message's descriptors that are still there (-1: taken). */
void control_message_release(struct control_message *message);

/*
 * Who closes descriptors that peers have sent, from now on, in the whole process: closer_close(), where others must not
 * wait for it; NULL: close().
 */
void control_closing_set(void (*close_descriptor)(int));

/* Closes one in that way, from wherever it came; -1 is accepted. */
void control_descriptor_close(int descriptor);

/*
 * Connects to a mediator's socket. Descriptor, or -1 with errno. The first waits where too many others do so, the
 * second fails (EAGAIN).
 */
int control_connect(const char *path);
int control_connect_now(const char *path);

/*
 * The same for a path in a folder where everybody may make files (VGPU_SOCKET_PATH_FALLBACK): EPERM unless root or the
 * caller's own user listens there.
 */
int control_connect_checked(const char *path);

#endif
