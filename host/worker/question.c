/* SPDX-License-Identifier: Apache-2.0 */
#include "question.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "control_socket.h"

#define ANSWER_MS 5000

/* With room for all that may come: what the kernel has no room for it closes, and we would wait for that. */
union files_control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(CONTROL_DESCRIPTORS_MAX * sizeof(int))];
};

ssize_t files_receive(int socket, void *data, size_t bytes, int ret_files[QUESTION_FILES_MAX], int flags)
{
	union files_control control = {0};
	struct iovec piece = {.iov_base = data, .iov_len = bytes};
	struct msghdr message = {
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	size_t count = 0;

	for (size_t i = 0; i < QUESTION_FILES_MAX; i++)
		ret_files[i] = -1;
	if (got >= 0 && message.msg_controllen >= sizeof(control.header) && control.header.cmsg_type == SCM_RIGHTS)
		count = (control.header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < count; i++) {
		int file;

		memcpy(&file, CMSG_DATA(&control.header) + i * sizeof(int), sizeof(file));
		if (i < QUESTION_FILES_MAX)
			ret_files[i] = file;
		else
			control_descriptor_close(file);
	}
	return got;
}

void files_close(int files[QUESTION_FILES_MAX])
{
	for (size_t i = 0; i < QUESTION_FILES_MAX; i++) {
		control_descriptor_close(files[i]);
		files[i] = -1;
	}
}

int answer_await(int socket, size_t count, int *ret_files)
{
	struct pollfd wait = {.fd = socket, .events = POLLIN};
	int files[QUESTION_FILES_MAX];
	char byte;
	ssize_t got;

	errno = ETIMEDOUT;
	if (poll(&wait, 1, ANSWER_MS) <= 0)
		return -1;
	got = files_receive(socket, &byte, sizeof(byte), files, 0);
	if (got > 0 && files[count - 1] >= 0) {
		memcpy(ret_files, files, count * sizeof(int));
		return 0;
	}
	files_close(files);
	/* The main process hangs up on who may not be here. */
	errno = got == 0 ? EUSERS : ENOMEM;
	return -1;
}
