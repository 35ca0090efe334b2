/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "closer.h"
#include "control_socket.h"
#include "vgpu_schedule.h"
#include "wakeup.h"

#define SEND_SECONDS 2

enum operation { OPERATION_PUT = 1, OPERATION_DROP, OPERATION_END, OPERATION_QUIT };

struct packet {
	uint32_t operation;
	uint32_t kind;
	uint32_t bytes;
	uint32_t reserved;
	uint64_t key;
	unsigned char blob[KEEPER_BLOB_BYTES];
};

union descriptor_space {
	struct cmsghdr header;
	unsigned char bytes[CMSG_SPACE(KEEPER_FDS_MAX * sizeof(int))];
};

static int packet_send(int socket, const struct packet *packet, const int *fds, size_t fd_count)
{
	return control_packet_send(socket, packet, sizeof(*packet), fds, fd_count);
}

/* False: the other side is gone, or sent something that is no packet. */
static bool packet_receive(int socket, struct packet *packet, int *fds, uint32_t *ret_count)
{
	union descriptor_space space;
	struct iovec part = {.iov_base = packet, .iov_len = sizeof(*packet)};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof(space)};
	ssize_t got;

	*ret_count = 0;
	do
		got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	for (struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL; header;
	     header = CMSG_NXTHDR(&message, header)) {
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
		    count > KEEPER_FDS_MAX - *ret_count)
			continue;
		memcpy(fds + *ret_count, CMSG_DATA(header), count * sizeof(int));
		*ret_count += (uint32_t)count;
	}
	return got == (ssize_t)sizeof(*packet) && packet->bytes <= KEEPER_BLOB_BYTES;
}

struct kept {
	LIST_ENTRY(kept) link;
	struct keeper_entry entry;
};

struct keeper {
	LIST_HEAD(, kept) entries;
	int mediator; /* -1: none is there */
	int listener;
	unsigned grace_seconds;
	time_t orphaned;
};

static time_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void kept_free(struct kept *kept)
{
	LIST_REMOVE(kept, link);
	for (uint32_t i = 0; i < kept->entry.fd_count; i++)
		closer_close(kept->entry.fds[i]);
	free(kept);
}

static void entry_drop(struct keeper *keeper, uint32_t kind, uint64_t key)
{
	struct kept *kept;

	LIST_FOREACH(kept, &keeper->entries, link)
	{
		if (kept->entry.kind == kind && kept->entry.key == key)
			break;
	}
	if (kept)
		kept_free(kept);
}

static void entry_put(struct keeper *keeper, const struct packet *packet, const int *fds, uint32_t fd_count)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	entry_drop(keeper, packet->kind, packet->key);
	if (!kept) {
		for (uint32_t i = 0; i < fd_count; i++)
			closer_close(fds[i]);
		return;
	}
	kept->entry = (struct keeper_entry){
		.kind = packet->kind, .bytes = packet->bytes, .key = packet->key, .fd_count = fd_count};
	memcpy(kept->entry.blob, packet->blob, packet->bytes);
	memcpy(kept->entry.fds, fds, fd_count * sizeof(*fds));
	LIST_INSERT_HEAD(&keeper->entries, kept, link);
}

static bool kind_send(struct keeper *keeper, uint32_t kind)
{
	struct kept *kept;

	LIST_FOREACH(kept, &keeper->entries, link)
	{
		const struct keeper_entry *entry = &kept->entry;
		struct packet packet = {
			.operation = OPERATION_PUT, .kind = entry->kind, .bytes = entry->bytes, .key = entry->key};

		memcpy(packet.blob, entry->blob, entry->bytes);
		if (entry->kind == kind && packet_send(keeper->mediator, &packet, entry->fds, entry->fd_count) < 0)
			return false;
	}
	return true;
}

static void permit_open(const struct keeper_entry *entry)
{
	struct vgpu_permit_page *page;

	if (entry->kind != KEEPER_CHANNEL || entry->fd_count <= KEEPER_CHANNEL_WAKE)
		return;
	page = mmap(NULL, VGPU_SCHEDULE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		    entry->fds[KEEPER_CHANNEL_PERMIT], 0);
	if (page == MAP_FAILED)
		return;
	page->until_ns = VGPU_TIME_NEVER;
	__atomic_store_n(&page->word, VGPU_PERMIT_WORD((page->word >> VGPU_PERMIT_MODE_BITS) + 1, VGPU_PERMIT_OPEN),
			 __ATOMIC_SEQ_CST);
	munmap(page, VGPU_SCHEDULE_PAGE_BYTES);
	wakeup_send(entry->fds[KEEPER_CHANNEL_WAKE]);
}

static void mediator_lose(struct keeper *keeper)
{
	const struct kept *kept;

	close(keeper->mediator);
	keeper->mediator = -1;
	keeper->orphaned = seconds_now();
	LIST_FOREACH(kept, &keeper->entries, link)
	permit_open(&kept->entry);
}

static void mediator_accept(struct keeper *keeper)
{
	struct packet end = {.operation = OPERATION_END};
	struct timeval patience = {.tv_sec = SEND_SECONDS};
	struct ucred peer;
	socklen_t bytes = sizeof(peer);
	int socket = accept4(keeper->listener, NULL, NULL, SOCK_CLOEXEC);

	if (socket < 0)
		return;
	/* One mediator at a time, and only of our own user. */
	if (keeper->mediator >= 0 || getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0 ||
	    peer.uid != geteuid() || setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0) {
		close(socket);
		return;
	}
	keeper->mediator = socket;
	if (!kind_send(keeper, KEEPER_SESSION) || !kind_send(keeper, KEEPER_CHANNEL) ||
	    packet_send(socket, &end, NULL, 0) < 0)
		mediator_lose(keeper);
}

/* False: it is to end. */
static bool mediator_listen(struct keeper *keeper)
{
	struct packet packet;
	int fds[KEEPER_FDS_MAX];
	uint32_t fd_count;

	if (!packet_receive(keeper->mediator, &packet, fds, &fd_count)) {
		for (uint32_t i = 0; i < fd_count; i++)
			closer_close(fds[i]);
		mediator_lose(keeper);
		return true;
	}
	if (packet.operation == OPERATION_PUT) {
		entry_put(keeper, &packet, fds, fd_count);
		return true;
	}
	for (uint32_t i = 0; i < fd_count; i++)
		closer_close(fds[i]);
	if (packet.operation == OPERATION_DROP)
		entry_drop(keeper, packet.kind, packet.key);
	return packet.operation != OPERATION_QUIT;
}

/* Up to the last word of a mediator that may be gone: the next one must not be taken for a second. False: as above. */
static bool mediator_drain(struct keeper *keeper)
{
	while (keeper->mediator >= 0) {
		struct pollfd source = {.fd = keeper->mediator, .events = POLLIN};

		if (poll(&source, 1, 0) <= 0)
			return true;
		if (!mediator_listen(keeper))
			return false;
	}
	return true;
}

static void keeper_run(struct keeper *keeper)
{
	for (;;) {
		struct pollfd sources[] = {{.fd = keeper->listener, .events = POLLIN},
					   {.fd = keeper->mediator, .events = POLLIN}};
		int timeout = -1;

		if (keeper->mediator < 0) {
			time_t left = keeper->orphaned + (time_t)keeper->grace_seconds - seconds_now();

			/* Nothing is kept, or nobody came for it. */
			if (left <= 0 || LIST_EMPTY(&keeper->entries))
				return;
			timeout = (int)left * 1000;
		}
		if (poll(sources, 2, timeout) < 0 && errno != EINTR)
			return;
		if (sources[1].revents && !mediator_listen(keeper))
			return;
		if (!sources[0].revents)
			continue;
		if (!mediator_drain(keeper))
			return;
		mediator_accept(keeper);
	}
}

static int address_make(const char *path, struct sockaddr_un *ret_address)
{
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret_address->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(ret_address->sun_path, path);
	return 0;
}

static int old_keeper_find(const struct sockaddr_un *address)
{
	struct timeval patience = {.tv_sec = SEND_SECONDS};
	struct ucred peer;
	socklen_t bytes = sizeof(peer);
	int keeper = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (keeper < 0)
		return -1;
	if (setsockopt(keeper, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(keeper, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(keeper, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
	    getsockopt(keeper, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0 || peer.uid != geteuid()) {
		close(keeper);
		return -1;
	}
	return keeper;
}

static int listener_make(const struct sockaddr_un *address)
{
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	mode_t before;
	int result;

	if (listener < 0)
		return -1;
	unlink(address->sun_path);
	before = umask(0177);
	result = bind(listener, (const struct sockaddr *)address, sizeof(*address));
	umask(before);
	if (result < 0 || listen(listener, 4) < 0) {
		int error = errno;

		close(listener);
		errno = error;
		return -1;
	}
	return listener;
}

static const char *socket_path; /* of the process that keeps */

/* Process 1 says so when the machine is going down, and waits then for whoever does not end. */
static void termination_received(int number, siginfo_t *information, void *context)
{
	(void)number;
	(void)context;
	if (information->si_code != SI_USER || information->si_pid != 1)
		return;
	unlink(socket_path);
	_exit(0);
}

/* Nothing of the mediator's but the two sockets: what it holds must not outlive it by accident. */
static void child_run(const char *path, int mediator, int listener, unsigned grace_seconds)
{
	static struct keeper keeper;
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGUSR1, SIGCHLD};
	const struct sigaction termination = {.sa_sigaction = termination_received,
					      .sa_flags = SA_SIGINFO | SA_RESTART};
	sigset_t none;
	int low = mediator < listener ? mediator : listener;
	int high = mediator < listener ? listener : mediator;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	socket_path = path;
	sigaction(SIGTERM, &termination, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	prctl(PR_SET_NAME, "vgpu-keeper");
	syscall(SYS_close_range, 0u, (unsigned)low - 1, 0u);
	if (high > low + 1)
		syscall(SYS_close_range, (unsigned)low + 1, (unsigned)high - 1, 0u);
	syscall(SYS_close_range, (unsigned)high + 1, ~0u, 0u);
	closer_forget();
	keeper = (struct keeper){.mediator = mediator, .listener = listener, .grace_seconds = grace_seconds};
	LIST_INIT(&keeper.entries);
	keeper_run(&keeper);
	unlink(path);
	_exit(0);
}

int keeper_open(const char *path, unsigned grace_seconds, int *ret_socket, bool *ret_found)
{
	struct timeval patience = {.tv_sec = SEND_SECONDS};
	struct sockaddr_un address;
	int sockets[2] = {-1, -1};
	int listener = -1;
	int error;
	pid_t child;

	*ret_found = false;
	if (address_make(path, &address) < 0)
		return -1;
	*ret_socket = old_keeper_find(&address);
	if (*ret_socket >= 0) {
		*ret_found = true;
		return 0;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -1;
	if (setsockopt(sockets[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		goto fail;
	listener = listener_make(&address);
	if (listener < 0)
		goto fail;
	child = fork();
	if (child < 0)
		goto fail;
	if (child == 0)
		child_run(path, sockets[1], listener, grace_seconds);
	close(sockets[1]);
	close(listener);
	*ret_socket = sockets[0];
	return 0;
fail:
	error = errno;
	close(sockets[0]);
	close(sockets[1]);
	if (listener >= 0)
		close(listener);
	errno = error;
	return -1;
}

bool keeper_take(int socket, struct keeper_entry *ret_entry)
{
	struct packet packet;

	*ret_entry = (struct keeper_entry){.fd_count = 0};
	if (!packet_receive(socket, &packet, ret_entry->fds, &ret_entry->fd_count) ||
	    packet.operation != OPERATION_PUT) {
		for (uint32_t i = 0; i < ret_entry->fd_count; i++)
			closer_close(ret_entry->fds[i]);
		return false;
	}
	ret_entry->kind = packet.kind;
	ret_entry->key = packet.key;
	ret_entry->bytes = packet.bytes;
	memcpy(ret_entry->blob, packet.blob, packet.bytes);
	return true;
}

int keeper_put(int socket, const struct keeper_entry *entry)
{
	struct packet packet = {
		.operation = OPERATION_PUT, .kind = entry->kind, .bytes = entry->bytes, .key = entry->key};

	memcpy(packet.blob, entry->blob, entry->bytes);
	return packet_send(socket, &packet, entry->fds, entry->fd_count);
}

int keeper_drop(int socket, enum keeper_kind kind, uint64_t key)
{
	struct packet packet = {.operation = OPERATION_DROP, .kind = kind, .key = key};

	return packet_send(socket, &packet, NULL, 0);
}

void keeper_quit(int socket)
{
	struct packet packet = {.operation = OPERATION_QUIT};

	packet_send(socket, &packet, NULL, 0);
}
