/* SPDX-License-Identifier: Apache-2.0 */
/* What others have given is closed without waiting for it (protocol/closer.h). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "closer.h"
#include "control_socket.h"

#define LONG_SECONDS 3600
#define PATIENCE_MS  60000
#define MANY	     400

/* Whose close waits for an hour: *ret_peer takes nothing of what it has sent. */
static int lingering_make(int *ret_peer)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = LONG_SECONDS};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t bytes = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int lingering = socket(AF_INET, SOCK_STREAM, 0);
	static char piece[65536];

	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
	assert_int_equal(connect(lingering, (struct sockaddr *)&address, sizeof(address)), 0);
	*ret_peer = accept(listener, NULL, NULL);
	assert_true(*ret_peer >= 0);
	close(listener);
	assert_int_equal(setsockopt(lingering, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(lingering, piece, sizeof(piece), MSG_DONTWAIT) > 0)
		continue;
	return lingering;
}

/* It is closed and nobody waits for it any more: its number is free. */
static void closed_await(int descriptor)
{
	int waited = 0;

	while (fcntl(descriptor, F_GETFD) >= 0 && waited++ < PATIENCE_MS)
		usleep(1000);
	assert_true(fcntl(descriptor, F_GETFD) < 0);
}

static void descriptor_send(int socket, int descriptor)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} space = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	char byte = 'x';
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr packet = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof(space)};

	memcpy(CMSG_DATA(&space.header), &descriptor, sizeof(descriptor));
	assert_int_equal(sendmsg(socket, &packet, 0), 1);
}

/* More of them than there are threads: each is given up soon, and the next has its turn. */
static void test_lingering(void **state)
{
	int lingering[50];
	int peers[50];

	(void)state;
	for (size_t i = 0; i < 50; i++)
		lingering[i] = lingering_make(&peers[i]);
	for (size_t i = 0; i < 50; i++)
		closer_close(lingering[i]);
	for (size_t i = 0; i < 50; i++) {
		closed_await(lingering[i]);
		close(peers[i]);
	}
}

/* Within the queue of a socket, and of a connection of ours. */
static void test_lingering_within(void **state)
{
	int sockets[2];
	int connection[2];
	int peer;
	int lingering = lingering_make(&peer);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, connection), 0);
	descriptor_send(sockets[0], lingering);
	close(lingering);
	descriptor_send(connection[0], sockets[1]);
	close(sockets[0]);
	close(sockets[1]);
	closer_hang_up(connection[1]);
	closed_await(connection[1]);
	close(connection[0]);
	close(peer);
}

/* The peer still gets what it was sent, although nobody has read what it has said. */
static void test_last_word(void **state)
{
	int connection[2];
	char word[8] = "";

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, i ? SOCK_STREAM : SOCK_SEQPACKET, 0, connection), 0);
		assert_int_equal(send(connection[0], "unread", 6, 0), 6);
		assert_int_equal(send(connection[0], "unread", 6, 0), 6);
		assert_int_equal(send(connection[1], "last", 4, 0), 4);
		closer_hang_up(connection[1]);
		closed_await(connection[1]);
		assert_int_equal(recv(connection[0], word, sizeof(word), 0), 4);
		assert_memory_equal(word, "last", 4);
		assert_int_equal(recv(connection[0], word, sizeof(word), 0), 0);
		close(connection[0]);
	}
}

/* A peer that sends descriptors where none are expected is told from others without any being received. */
static void test_bare(void **state)
{
	struct control_message message = {.fd_count = 0};
	char bytes[64];
	int connection[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, connection), 0);
	assert_int_equal(control_send(connection[0], VGPU_CONTROL_CLIENT_HELLO, &message), 0);
	message = (struct control_message){.fds = {STDERR_FILENO}, .fd_count = 1};
	assert_int_equal(control_send(connection[0], VGPU_CONTROL_CLIENT_HELLO, &message), 0);
	assert_int_equal(control_receive_bare(connection[1], &message), 1);
	assert_int_equal(control_receive_bare(connection[1], &message), -1);
	assert_int_equal(errno, EBADMSG);
	/* It is still there. */
	assert_int_equal(control_receive(connection[1], &message), 1);
	assert_int_equal(message.fd_count, 1);
	control_message_release(&message);
	close(connection[0]);
	assert_int_equal(control_receive_bare(connection[1], &message), 0);
	close(connection[1]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, connection), 0);
	assert_int_equal(send(connection[0], "abc", 3, 0), 3);
	assert_int_equal(control_read_bare(connection[1], bytes, 2), 2);
	assert_int_equal(control_read_bare(connection[1], bytes, sizeof(bytes)), 1);
	assert_int_equal(control_read_bare(connection[1], bytes, sizeof(bytes)), -1);
	assert_int_equal(errno, EAGAIN);
	descriptor_send(connection[0], STDERR_FILENO);
	assert_int_equal(control_read_bare(connection[1], bytes, sizeof(bytes)), -1);
	assert_int_equal(errno, EBADMSG);
	close(connection[0]);
	close(connection[1]);
}

/* In a process of its own, which may have no threads at first. Its exit code: what went wrong. */
static int without_threads(void)
{
	struct rlimit limit;
	int descriptors[MANY];

	closer_forget();
	if (getrlimit(RLIMIT_NPROC, &limit) < 0 || (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0))
		return 1;
	if (setrlimit(RLIMIT_NPROC, &(struct rlimit){0, limit.rlim_max}) < 0)
		return 2;
	for (size_t i = 0; i < MANY; i++) {
		descriptors[i] = open("/dev/null", O_RDONLY);
		if (descriptors[i] < 0)
			return 3;
		closer_close(descriptors[i]);
	}
	if (!closer_is_behind() || fcntl(descriptors[0], F_GETFD) < 0)
		return 4;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NPROC, &limit) < 0)
		return 5;
	closer_close(dup(STDERR_FILENO));
	for (int waited = 0; waited < PATIENCE_MS; waited++) {
		if (!closer_is_behind() && fcntl(descriptors[MANY - 1], F_GETFD) < 0)
			return 0;
		usleep(1000);
	}
	return 6;
}

/* Nobody waits then either, and those who accept are told. */
static void test_behind(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0)
		_exit(without_threads());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_false(closer_is_behind());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lingering), cmocka_unit_test(test_lingering_within),
		cmocka_unit_test(test_last_word), cmocka_unit_test(test_bare),
		cmocka_unit_test(test_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
