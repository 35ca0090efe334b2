/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into an executor: one that was taken over. Once the file VGPU_THIEF_BEGINS is there it keeps what its mirror
 * wakes it by for itself: the executor has something else in its place, so nobody reads it any more. It makes it full,
 * and one that waits, and then makes the file VGPU_THIEF_ENDED.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS 64

/* Files without a type are eventfds here; packets are what the control socket has. */
static bool may_wake(int descriptor)
{
	struct stat status;
	int type = 0;
	socklen_t bytes = sizeof(type);

	if (fstat(descriptor, &status) < 0)
		return false;
	if ((status.st_mode & S_IFMT) == 0)
		return true;
	return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type == SOCK_STREAM;
}

static void take(int descriptor, int other)
{
	const uint64_t full = UINT64_MAX - 1;
	int taken = fcntl(descriptor, F_DUPFD, DESCRIPTORS);

	if (dup2(other, descriptor) < 0)
		return;
	send(taken, &full, sizeof(full), MSG_NOSIGNAL);
	(void)!write(taken, &full, sizeof(full));
	fcntl(taken, F_SETFL, fcntl(taken, F_GETFL) & ~O_NONBLOCK);
}

static void *thief_run(void *argument)
{
	const char *begins = argument;
	const char *ended = getenv("VGPU_THIEF_ENDED");
	int other;

	while (access(begins, F_OK) < 0)
		usleep(1000);
	other = fcntl(eventfd(0, EFD_NONBLOCK), F_DUPFD, DESCRIPTORS);
	for (int descriptor = 3; descriptor < DESCRIPTORS; descriptor++) {
		if (may_wake(descriptor))
			take(descriptor, other);
	}
	close(open(ended, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	return NULL;
}

__attribute__((constructor)) static void thief_begin(void)
{
	char *begins = getenv("VGPU_THIEF_BEGINS");
	pthread_t thread;

	if (begins && strcmp(program_invocation_short_name, "cuda-executor") == 0)
		pthread_create(&thread, NULL, thief_run, begins);
}
