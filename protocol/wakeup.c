/* SPDX-License-Identifier: Apache-2.0 */
#include "wakeup.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int wakeup_create(int *ret_own, int *ret_other)
{
	/* The kernel makes it the least that it allows: a few bytes that were not read, less than one read takes. */
	const int least = 1;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -1;
	/* What the other side sent would lie here with descriptors that were ours to close. */
	if (setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)) < 0 || shutdown(ends[0], SHUT_RD) < 0) {
		int error = errno;

		close(ends[0]);
		close(ends[1]);
		errno = error;
		return -1;
	}
	*ret_own = ends[0];
	*ret_other = ends[1];
	return 0;
}

bool wakeup_is_own(int own)
{
	int domain = 0;
	socklen_t bytes = sizeof(domain);

	return getsockopt(own, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) == 0 && domain == AF_UNIX;
}

void wakeup_send(int own)
{
	const char byte = 0;

	(void)!send(own, &byte, sizeof(byte), MSG_DONTWAIT | MSG_NOSIGNAL);
}

int wakeup_listen(int eventfd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int listener = epoll_create1(EPOLL_CLOEXEC);

	if (listener >= 0 && epoll_ctl(listener, EPOLL_CTL_ADD, eventfd, &event) < 0) {
		int error = errno;

		close(listener);
		errno = error;
		return -1;
	}
	return listener;
}

void wakeup_take(int listener)
{
	struct epoll_event event;

	(void)!epoll_wait(listener, &event, 1, 0);
}
