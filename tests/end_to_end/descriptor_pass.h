/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors over a socket between parent and child. */
#ifndef TEST_DESCRIPTOR_PASS_H
#define TEST_DESCRIPTOR_PASS_H

#include <string.h>
#include <sys/socket.h>

static inline int descriptor_send(int socket, int file)
{
	char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {&byte, 1};
	struct msghdr packet = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	struct cmsghdr *control = CMSG_FIRSTHDR(&packet);

	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	control->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(control), &file, sizeof(file));
	return sendmsg(socket, &packet, 0) == 1 ? 0 : -1;
}

static inline int descriptor_receive(int socket)
{
	char byte, space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {&byte, 1};
	struct msghdr packet = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	int file = -1;

	if (recvmsg(socket, &packet, 0) == 1 && CMSG_FIRSTHDR(&packet))
		memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&packet)), sizeof(file));
	return file;
}

#endif
