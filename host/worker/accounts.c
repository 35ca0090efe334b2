/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "closer.h"
#include "control_socket.h"
#include "executors.h"
#include "memory_file.h"
#include "neighbours.h"
#include "question.h"
#include "share_table.h"
#include "strangers.h"

#define ANSWER_FILES   2 /* the tenant's page, the counters */
#define COUNTERS_BYTES 4096

struct connection *connection_add(struct accounts *accounts, const char *host, const char *port, int *ret_socket)
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
	for (size_t i = 0; i < ACCOUNT_LANE_FILES; i++)
		connection->lane_files[i] = -1;
	snprintf(connection->host, sizeof(connection->host), "%s", host);
	snprintf(connection->peer, sizeof(connection->peer), "%s:%s", connection->host, port);
	*ret_socket = sockets[1];
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
	executor_group_remove(&account->group);
	munmap(account->page, VGPU_SCHEDULE_PAGE_BYTES);
	close(account->file);
	free(account);
}

void connection_remove(struct connection *connection)
{
	LIST_REMOVE(connection, link);
	lanes_forget(connection);
	if (connection->account)
		account_leave(connection->account, connection->counters);
	if (connection->counters)
		munmap((void *)(uintptr_t)connection->counters, COUNTERS_BYTES);
	closer_hang_up(connection->socket);
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
	*account = (struct account){.key = *key,
				    .file = memory_file_create("vgpu-tenant", VGPU_SCHEDULE_PAGE_BYTES),
				    .group = {.folder = -1}};
	snprintf(account->label, sizeof(account->label), "%.*s of %.*s", (int)sizeof(key->tenant), key->tenant,
		 (int)sizeof(key->host), key->host);
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

static void account_give(struct accounts *accounts, struct connection *connection, const struct question *question)
{
	int counters = memory_file_create("vgpu-counters", COUNTERS_BYTES);

	connection->counters = page_map(counters, PROT_READ);
	if (connection->counters)
		connection->account = account_of(accounts, &question->key);
	connection->group = question->group;
	if (connection->account) {
		const int files[ANSWER_FILES] = {connection->account->file, counters};
		char byte = 0;

		connection->account->connections++;
		/* One that does not get it ends. */
		(void)control_packet_send(connection->socket, &byte, sizeof(byte), files, ANSWER_FILES);
	}
	if (counters >= 0)
		close(counters);
}

static unsigned programs_count(const struct accounts *accounts)
{
	const struct connection *connection;
	unsigned count = 0;

	LIST_FOREACH(connection, &accounts->connections, link)
	count += connection->account != NULL;
	return count;
}

/* Its process has refused its peer, and ends: false. */
static bool refusal_log(struct accounts *accounts, const struct connection *connection, const struct question *question)
{
	char reason[QUESTION_REASON_BYTES];

	log_text_copy(reason, sizeof(reason), question->reason, sizeof(question->reason));
	log_write_limited(&accounts->refusals, LOG_LEVEL_INFO, "%s: refused: %s", connection->peer, reason);
	return false;
}

/* Before there is an executor. False: it is the end, or no question, or refused. */
static bool question_take(struct accounts *accounts, struct connection *connection)
{
	struct question question;
	int files[QUESTION_FILES_MAX];
	ssize_t got = files_receive(connection->socket, &question, sizeof(question), files, MSG_DONTWAIT);
	bool is_question = false;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (got == sizeof(question) && question.kind == QUESTION_KNOWN) {
		is_question = stranger_admit(accounts, connection);
	} else if (got == sizeof(question) && question.kind == QUESTION_REFUSAL) {
		is_question = refusal_log(accounts, connection, &question);
	} else if (got == sizeof(question) && connection->is_known) {
		switch (question.kind) {
		case QUESTION_ACCOUNT:
			is_question = !connection->counters && !connection->lane_of &&
				      programs_count(accounts) < accounts->programs_max;
			if (is_question)
				account_give(accounts, connection, &question);
			break;
		case QUESTION_LANES:
			is_question = lanes_register(connection, &question, files);
			break;
		case QUESTION_LANE:
			is_question = lane_admit(accounts, connection, &question);
			break;
		case QUESTION_EXECUTOR:
			is_question = executor_give(accounts, connection, &question, files);
			break;
		default:
			break;
		}
	}
	files_close(files);
	return is_question;
}

void connection_answer(struct accounts *accounts, struct connection *connection)
{
	/* Answers are not to take the room that comes, and it is asked for nothing more by an executor that is to end.
	 */
	if (!connection_end_send(connection))
		return;
	if (connection->has_begun ? neighbours_answer(accounts, connection) : question_take(accounts, connection))
		return;
	/* The end, or a process that was taken over. */
	closer_hang_up(connection->socket);
	connection->socket = -1;
}

void connection_reaped(struct accounts *accounts, pid_t process, int status)
{
	struct connection *connection;

	LIST_FOREACH(connection, &accounts->connections, link)
	{
		if (connection->process == process) {
			connection->process = 0;
			/* What it has sent before its end. */
			connection->end.is_owed = false;
			if (connection->socket >= 0)
				connection_answer(accounts, connection);
			lanes_kill(accounts, connection);
			/* Nobody hears of it any more, also if it is inside the driver. */
			if (connection->executor)
				connection_executor_kill(connection);
		} else if (connection->executor == process) {
			connection_executor_reaped(connection, status);
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
		if (connection->counters)
			munmap((void *)(uintptr_t)connection->counters, COUNTERS_BYTES);
	}
	LIST_FOREACH(account, &accounts->accounts, link)
	munmap(account->page, VGPU_SCHEDULE_PAGE_BYTES);
}

int account_known_tell(int socket)
{
	const struct question question = {.kind = QUESTION_KNOWN};

	return control_packet_send(socket, &question, sizeof(question), NULL, 0);
}

void account_refusal_tell(int socket, const char *reason)
{
	struct question question = {.kind = QUESTION_REFUSAL};

	snprintf(question.reason, sizeof(question.reason), "%s", reason);
	(void)control_packet_send(socket, &question, sizeof(question), NULL, 0);
}

int account_ask(int socket, const struct account_key *key, const struct account_group *group, int *ret_tenant,
		int *ret_counters)
{
	const struct question question = {.kind = QUESTION_ACCOUNT, .key = *key, .group = *group};
	int files[ANSWER_FILES];

	if (control_packet_send(socket, &question, sizeof(question), NULL, 0) < 0 ||
	    answer_await(socket, ANSWER_FILES, files) < 0)
		return -1;
	*ret_tenant = files[0];
	*ret_counters = files[1];
	return 0;
}
