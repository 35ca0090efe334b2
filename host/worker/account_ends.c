/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How executors end. The main process alone sees it, and tells the connections' processes, which tell the hosts: what
 * an executor says of its own end goes another way, and is not believed where it would count (mirror_control.h).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "accounts.h"
#include "child.h"
#include "control_socket.h"
#include "log.h"

bool connection_end_send(struct connection *connection)
{
	struct connection_end *end = &connection->end;
	struct control_message word = {.channel.error = end->error};

	if (!end->is_owed || connection->socket < 0)
		return true;
	memcpy(word.channel.text, end->text, sizeof(word.channel.text));
	/* What has another reason is that the process has gone. */
	end->is_owed = control_send(connection->socket, VGPU_CONTROL_EXECUTOR_FAULT, &word) < 0 && errno == EAGAIN;
	return !end->is_owed;
}

/* Once, before it is certain that it has ended. False: there is nobody to tell. */
static bool end_tell(struct connection *connection, enum vgpu_channel_error error, const char *text)
{
	struct connection_end *end = &connection->end;

	if (!end->is_known) {
		*end = (struct connection_end){.is_known = true, .is_owed = true, .error = error};
		snprintf(end->text, sizeof(end->text), "%s", text);
		(void)connection_end_send(connection);
	}
	return connection->socket >= 0;
}

void connection_executor_kill(struct connection *connection)
{
	connection->is_executor_killed = true;
	kill(connection->executor, SIGKILL);
}

void connection_executor_reaped(struct connection *connection, int status)
{
	bool is_others_kill = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !connection->is_executor_killed;
	char how[VGPU_CONTROL_TEXT_BYTES - 16];
	char text[VGPU_CONTROL_TEXT_BYTES];

	connection->executor = 0;
	if (is_others_kill && connection->account && executor_group_kill_take(&connection->account->group)) {
		log_warning("[CGROUP] %s: %s: " EXECUTOR_GROUP_KILL_TEXT, connection->peer, connection->account->label);
		(void)end_tell(connection, VGPU_ERROR_HOST_MEMORY, EXECUTOR_GROUP_KILL_TEXT);
		return;
	}
	process_status_describe(status, how, sizeof(how));
	snprintf(text, sizeof(text), "the executor %s", how);
	(void)end_tell(connection, VGPU_ERROR_EXECUTOR_ENDED, text);
}

/* Whether others' executors are stuck too, or lately were: it is a GPU's driver, whichever they use. */
static bool is_hanging(const struct accounts *accounts, const struct connection *connection, uint64_t now_ms,
		       unsigned stuck_ms)
{
	const struct connection *other;

	if (accounts->hung_ms && now_ms - accounts->hung_ms <= stuck_ms)
		return true;
	LIST_FOREACH(other, &accounts->connections, link)
	{
		if (other->executor && other->account != connection->account &&
		    other->standstill.kind == STANDSTILL_STUCK &&
		    now_ms - other->standstill.since_ms >= stuck_ms / STANDSTILL_SHARED_PART)
			return true;
	}
	return false;
}

static void standing_end(struct accounts *accounts, struct connection *connection, const char *how, uint64_t now_ms,
			 unsigned stuck_ms)
{
	bool is_stuck = connection->standstill.kind == STANDSTILL_STUCK;
	bool hangs = is_stuck && is_hanging(accounts, connection, now_ms, stuck_ms);
	char text[VGPU_CONTROL_TEXT_BYTES];

	if (hangs)
		accounts->hung_ms = now_ms;
	log_warning("%s: its executor was %s: killed%s", connection->peer, how,
		    hangs ? "; so are other tenants': a GPU's driver hangs" : "");
	snprintf(text, sizeof(text), "the executor was %s", how);
	/* Who waits for the end of an executor that the kernel does not let go is not to wait for ever. */
	if (!end_tell(connection, hangs ? VGPU_ERROR_EXECUTOR_HUNG : VGPU_ERROR_EXECUTOR_ENDED, text) && is_stuck &&
	    connection->process)
		kill(connection->process, SIGKILL);
	connection_executor_kill(connection);
}

void accounts_silence_look(struct accounts *accounts, const struct standstill_limits *limits)
{
	unsigned interval_ms = standstill_interval(limits);
	struct connection *connection;
	char text[STANDSTILL_TEXT_BYTES];
	struct timespec clock;
	uint64_t now_ms;

	clock_gettime(CLOCK_MONOTONIC, &clock);
	now_ms = (uint64_t)clock.tv_sec * 1000 + (uint64_t)clock.tv_nsec / 1000000;
	if (!interval_ms || now_ms - accounts->silence_looked_ms < interval_ms)
		return;
	accounts->silence_looked_ms = now_ms;
	LIST_FOREACH(connection, &accounts->connections, link)
	{
		/* What was seen of one that was killed and does not end stays as it was. */
		if (connection->executor && !connection->is_executor_killed &&
		    standstill_look(&connection->standstill, connection->executor, limits, now_ms, text))
			standing_end(accounts, connection, text, now_ms, limits->stuck_ms);
	}
}
