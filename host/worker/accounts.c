/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "memory_file.h"
#include "neighbours.h"
#include "share_table.h"

#define ANSWER_MS      5000
#define ANSWER_FILES   2 /* the tenant's page, the counters */
#define COUNTERS_BYTES 4096

struct account {
	LIST_ENTRY(account) link;
	struct account_key key;
	int file;
	struct vgpu_tenant_page *page;
	unsigned connections;
};

enum question_kind { QUESTION_ACCOUNT = 1, QUESTION_EXECUTOR };

struct question {
	uint32_t kind;
	int32_t executor;
	struct account_key key;
	struct account_group group;
};

union files_control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(ANSWER_FILES * sizeof(int))];
};

struct connection *connection_add(struct accounts *accounts, int *ret_peer)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int sockets[2];

	if (!connection)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
		free(connection);
		return NULL;
	}
	/* Our end only: nothing here may wait for a connection's process. */
	if (fcntl(sockets[0], F_SETFL, O_NONBLOCK) < 0) {
		close(sockets[0]);
		close(sockets[1]);
		free(connection);
		return NULL;
	}
	connection->socket = sockets[0];
	*ret_peer = sockets[1];
	LIST_INSERT_HEAD(&accounts->connections, connection, link);
	return connection;
}

static void amount_return(uint64_t *sum, uint64_t amount)
{
	uint64_t there = __atomic_load_n(sum, __ATOMIC_RELAXED);

	/* An executor's claim cannot make others' charges disappear beyond zero. */
	while (!__atomic_compare_exchange_n(sum, &there, amount < there ? there - amount : 0, true, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED))
		continue;
}

static void account_leave(struct account *account, const volatile void *counters)
{
	const volatile struct vgpu_executor_schedule *claims =
		(const volatile void *)((const volatile char *)counters + VGPU_SCHEDULE_OFFSET);

	amount_return(&account->page->memory_bytes, claims->memory_charged);
	amount_return(&account->page->pinned_bytes, claims->pinned_charged);
	amount_return(&account->page->handles, claims->handles);
	if (--account->connections)
		return;
	/* Nobody is left: what an executor that died between two stores left behind goes with the page. */
	LIST_REMOVE(account, link);
	munmap(account->page, VGPU_SCHEDULE_PAGE_BYTES);
	close(account->file);
	free(account);
}

void connection_remove(struct connection *connection)
{
	LIST_REMOVE(connection, link);
	if (connection->account)
		account_leave(connection->account, connection->counters);
	if (connection->counters)
		munmap((void *)(uintptr_t)connection->counters, COUNTERS_BYTES);
	if (connection->socket >= 0)
		close(connection->socket);
	share_table_destroy(connection->shares);
	free(connection);
}

static void *page_map(int file, int protection)
{
	void *page = file < 0 ? MAP_FAILED : mmap(NULL, VGPU_SCHEDULE_PAGE_BYTES, protection, MAP_SHARED, file, 0);

	return page == MAP_FAILED ? NULL : page;
}

static struct account *account_of(struct accounts *accounts, const struct account_key *key)
{
	struct account *account;

	LIST_FOREACH(account, &accounts->accounts, link)
	{
		if (memcmp(&account->key, key, sizeof(*key)) == 0)
			return account;
	}
	account = calloc(1, sizeof(*account));
	if (!account)
		return NULL;
	*account = (struct account){.key = *key, .file = memory_file_create("vgpu-tenant", VGPU_SCHEDULE_PAGE_BYTES)};
	account->page = page_map(account->file, PROT_READ | PROT_WRITE);
	if (!account->page) {
		if (account->file >= 0)
			close(account->file);
		free(account);
		return NULL;
	}
	LIST_INSERT_HEAD(&accounts->accounts, account, link);
	return account;
}

static void answer_send(const struct connection *connection, int counters)
{
	const int files[ANSWER_FILES] = {connection->account->file, counters};
	union files_control control = {0};
	char byte = 0;
	struct iovec data = {.iov_base = &byte, .iov_len = sizeof(byte)};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	control.header = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(files)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.header), files, sizeof(files));
	/* One that does not get it ends. */
	(void)sendmsg(connection->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void account_give(struct accounts *accounts, struct connection *connection, const struct question *question)
{
	int counters = memory_file_create("vgpu-counters", COUNTERS_BYTES);

	connection->counters = page_map(counters, PROT_READ);
	if (connection->counters)
		connection->account = account_of(accounts, &question->key);
	connection->group = question->group;
	if (connection->account) {
		connection->account->connections++;
		answer_send(connection, counters);
	}
	if (counters >= 0)
		close(counters);
}

/* Before there is an executor. False: it is the end, or no question. */
static bool question_take(struct accounts *accounts, struct connection *connection)
{
	struct question question;
	ssize_t got = recv(connection->socket, &question, sizeof(question), MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (got != sizeof(question))
		return false;
	if (question.kind == QUESTION_ACCOUNT && !connection->counters)
		account_give(accounts, connection, &question);
	else if (question.kind == QUESTION_EXECUTOR && connection->account)
		connection->executor = question.executor;
	else
		return false;
	return true;
}

void connection_answer(struct accounts *accounts, struct connection *connection)
{
	if (connection->executor ? neighbours_answer(accounts, connection) : question_take(accounts, connection))
		return;
	/* The end, or a process that was taken over. */
	close(connection->socket);
	connection->socket = -1;
}

void connection_reaped(struct accounts *accounts, pid_t process)
{
	struct connection *connection;

	LIST_FOREACH(connection, &accounts->connections, link)
	{
		if (connection->process == process) {
			/* What it has sent before its end. */
			if (connection->socket >= 0)
				connection_answer(accounts, connection);
			connection->process = 0;
		} else if (connection->executor == process) {
			connection->executor = 0;
		} else {
			continue;
		}
		if (!connection->process && !connection->executor)
			connection_remove(connection);
		return;
	}
}

void accounts_forget(struct accounts *accounts)
{
	struct connection *connection;
	struct account *account;

	LIST_FOREACH(connection, &accounts->connections, link)
	{
		if (connection->socket >= 0)
			close(connection->socket);
		if (connection->counters)
			munmap((void *)(uintptr_t)connection->counters, COUNTERS_BYTES);
		share_table_destroy(connection->shares);
	}
	LIST_FOREACH(account, &accounts->accounts, link)
	{
		munmap(account->page, VGPU_SCHEDULE_PAGE_BYTES);
		close(account->file);
	}
}

static int question_send(int socket, const struct question *question)
{
	ssize_t sent = send(socket, question, sizeof(*question), MSG_NOSIGNAL);

	return sent == sizeof(*question) ? 0 : -1;
}

int account_ask(int socket, const struct account_key *key, const struct account_group *group, int *ret_tenant,
		int *ret_counters)
{
	const struct question question = {.kind = QUESTION_ACCOUNT, .key = *key, .group = *group};
	struct pollfd wait = {.fd = socket, .events = POLLIN};
	union files_control control = {0};
	int files[ANSWER_FILES];
	char byte;
	struct iovec data = {.iov_base = &byte, .iov_len = sizeof(byte)};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	if (question_send(socket, &question) < 0)
		return -1;
	errno = ETIMEDOUT;
	if (poll(&wait, 1, ANSWER_MS) <= 0)
		return -1;
	errno = ENOMEM;
	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0 || message.msg_controllen < CMSG_LEN(sizeof(files)) ||
	    control.header.cmsg_type != SCM_RIGHTS || control.header.cmsg_len != CMSG_LEN(sizeof(files)))
		return -1;
	memcpy(files, CMSG_DATA(&control.header), sizeof(files));
	*ret_tenant = files[0];
	*ret_counters = files[1];
	return 0;
}

int account_executor_tell(int socket, pid_t executor)
{
	const struct question question = {.kind = QUESTION_EXECUTOR, .executor = executor};

	return question_send(socket, &question);
}
