/* SPDX-License-Identifier: Apache-2.0 */
#include "starter.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "closer.h"
#include "control_socket.h"

/* Children that have not been scheduled yet. */
#define TAKING_MAX     64
#define TAKING_LOOK_MS 1
/* Linux before 5.9: descriptors that are closed one by one. */
#define OTHERS_MAX 65536

union descriptor_space {
	struct cmsghdr header;
	unsigned char bytes[CMSG_SPACE(STARTER_DESCRIPTORS_MAX * sizeof(int))];
};

static struct {
	int ours;   /* -1: not open */
	int thread; /* the other end, in the thread's table */
	sem_t ready;
	int error;
} starter = {.ours = -1};

/* Of the starting thread, which waits while the other one works with it. */
struct request {
	starter_child *child;
	void *argument;
	bool is_given[STARTER_DESCRIPTORS_MAX];
	sem_t done;
	pid_t process;
	int error;
};

/* How many there are. */
static size_t descriptors_receive(int socket, void *data, size_t bytes, int descriptors[STARTER_DESCRIPTORS_MAX])
{
	union descriptor_space space;
	struct iovec part = {.iov_base = data, .iov_len = bytes};
	struct msghdr packet = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof(space)};
	const struct cmsghdr *header;
	ssize_t got;
	size_t count;

	do
		got = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	header = got == (ssize_t)bytes ? CMSG_FIRSTHDR(&packet) : NULL;
	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
		return 0;
	count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(descriptors, CMSG_DATA(header), count * sizeof(int));
	return count;
}

/* What children have not been seen to take yet. It is closed when nothing is left in it, for that waits for nobody. */
static struct {
	struct {
		int given;
		pid_t child;
	} items[TAKING_MAX];
	size_t count;
} taking;

static _Noreturn void child_run(const struct request *request, int given)
{
	int received[STARTER_DESCRIPTORS_MAX];
	int descriptors[STARTER_DESCRIPTORS_MAX];
	char byte;
	size_t count;
	size_t next = 0;

	close(starter.thread);
	/* They are not the last: the thread keeps them. */
	for (size_t i = 0; i < taking.count; i++)
		close(taking.items[i].given);
	count = descriptors_receive(given, &byte, sizeof(byte), received);
	close(given);
	for (size_t i = 0; i < STARTER_DESCRIPTORS_MAX; i++)
		descriptors[i] = request->is_given[i] && next < count ? received[next++] : -1;
	closer_forget();
	request->child(request->argument, descriptors);
	_exit(0);
}

/* Also while nobody has asked for its code. */
static bool has_ended(pid_t child)
{
	siginfo_t ended = {.si_pid = 0};

	return waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT) < 0 || ended.si_pid == child;
}

static void taking_look(void)
{
	size_t left = 0;
	char byte;

	for (size_t i = 0; i < taking.count; i++) {
		int given = taking.items[i].given;

		if (recv(given, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) <= 0)
			close(given);
		else if (!has_ended(taking.items[i].child))
			taking.items[left++] = taking.items[i];
		/* Where the child was killed before it had its own nobody closes it. */
	}
	taking.count = left;
}

static void request_serve(struct request *request, int given)
{
	pid_t child = fork();

	if (child == 0)
		child_run(request, given);
	request->error = errno;
	request->process = child;
	/* Not the last one: who asks keeps his until he has the answer. */
	if (child < 0)
		close(given);
	sem_post(&request->done);
	if (child < 0)
		return;
	taking.items[taking.count].given = given;
	taking.items[taking.count++].child = child;
}

static void request_refuse(struct request *request, int error)
{
	request->error = error;
	sem_post(&request->done);
}

/* From Linux 5.9 on in one call, which is allowed where unshare() is not (a container's seccomp). */
static int others_close(void)
{
	struct rlimit limit;

	if (syscall(SYS_close_range, starter.thread + 1, ~0u, CLOSE_RANGE_UNSHARE) == 0 &&
	    (starter.thread == STDERR_FILENO + 1 ||
	     syscall(SYS_close_range, STDERR_FILENO + 1, starter.thread - 1, 0) == 0))
		return 0;
	if (unshare(CLONE_FILES) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return errno;
	for (int other = STDERR_FILENO + 1; other < OTHERS_MAX && (rlim_t)other < limit.rlim_cur; other++) {
		if (other != starter.thread)
			close(other);
	}
	return 0;
}

static void request_take(void)
{
	struct request *request = NULL;
	int given[STARTER_DESCRIPTORS_MAX];
	size_t count = descriptors_receive(starter.thread, &request, sizeof(request), given);

	/* The process lacks memory, say: it is still there. The thread must not end, for its children would with it. */
	if (!request)
		poll(NULL, 0, TAKING_LOOK_MS);
	else if (count != 1)
		request_refuse(request, EMFILE);
	else
		request_serve(request, given[0]);
}

static void *thread_run(void *none)
{
	bool is_alone;

	starter.error = others_close();
	is_alone = starter.error == 0;
	sem_post(&starter.ready);
	if (!is_alone)
		return none;
	for (;;) {
		struct pollfd asked = {.fd = starter.thread, .events = POLLIN};

		taking_look();
		/* With all places taken the next one waits for a child to be scheduled. */
		if (taking.count == TAKING_MAX)
			poll(NULL, 0, TAKING_LOOK_MS);
		else if (poll(&asked, 1, taking.count ? TAKING_LOOK_MS : -1) > 0)
			request_take();
	}
}

static int thread_start(void)
{
	pthread_t thread;
	sigset_t all;
	sigset_t before;
	int error;

	/* No handler may run in a child: it would write into the loop's own pipe. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, thread_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return error;
	pthread_detach(thread);
	while (sem_wait(&starter.ready) < 0)
		continue;
	return starter.error;
}

int starter_open(void)
{
	int ends[2];

	if (sem_init(&starter.ready, 0, 0) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	starter.thread = ends[1];
	errno = thread_start();
	/* The thread has its own. */
	close(ends[1]);
	if (errno) {
		close(ends[0]);
		return -1;
	}
	starter.ours = ends[0];
	return 0;
}

/* The socket in which the descriptors wait for the child; -1 with errno. */
static int given_make(const int *descriptors, size_t count)
{
	int ends[2];
	int result;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	result = control_packet_send(ends[0], "", 1, descriptors, count);
	close(ends[0]);
	if (result == 0)
		return ends[1];
	closer_close(ends[1]);
	return -1;
}

pid_t starter_start(starter_child *child, void *argument, const int *descriptors, size_t count)
{
	struct request request = {.child = child, .argument = argument, .process = -1};
	struct request *named = &request;
	int present[STARTER_DESCRIPTORS_MAX];
	size_t present_count = 0;
	int given;

	if (starter.ours < 0 || count > STARTER_DESCRIPTORS_MAX) {
		errno = EINVAL;
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		request.is_given[i] = descriptors[i] >= 0;
		if (request.is_given[i])
			present[present_count++] = descriptors[i];
	}
	given = given_make(present, present_count);
	if (given < 0)
		return -1;
	sem_init(&request.done, 0, 0);
	if (control_packet_send(starter.ours, &named, sizeof(named), &given, 1) < 0) {
		request.error = errno;
	} else {
		while (sem_wait(&request.done) < 0)
			continue;
	}
	sem_destroy(&request.done);
	/* The thread has its own, but where nobody takes what is in it. */
	if (request.process < 0)
		closer_close(given);
	else
		close(given);
	errno = request.error;
	return request.process;
}
