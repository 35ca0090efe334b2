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
#include "hang.h"
#include "log.h"

bool connection_end_send(struct connection *connection)
{
	struct connection_end *end = &connection->end;
	struct control_message word = {.channel = {.error = end->error, .pci_place = end->pci_place}};

	if (!end->is_owed || connection->socket < 0)
		return true;
	memcpy(word.channel.text, end->text, sizeof(word.channel.text));
	/* What has another reason is that the process has gone. */
	end->is_owed = control_send(connection->socket, VGPU_CONTROL_EXECUTOR_FAULT, &word) < 0 && errno == EAGAIN;
	return !end->is_owed;
}

static uint64_t now_ms(void)
{
	struct timespec clock;

	clock_gettime(CLOCK_MONOTONIC, &clock);
	return (uint64_t)clock.tv_sec * 1000 + (uint64_t)clock.tv_nsec / 1000000;
}

/* Once, before it is certain that it has ended. False: there is nobody to tell. */
static bool end_tell(struct connection *connection, enum vgpu_channel_error error, uint32_t pci_place, const char *text)
{
	struct connection_end *end = &connection->end;

	if (!end->is_known) {
		*end = (struct connection_end){
			.is_known = true, .is_owed = true, .error = error, .pci_place = pci_place};
		snprintf(end->text, sizeof(end->text), "%s", text);
		(void)connection_end_send(connection);
	}
	return connection->socket >= 0;
}

void connection_executor_kill(struct connection *connection)
{
	if (!connection->executor_killed_ms)
		connection->executor_killed_ms = now_ms();
	kill(connection->executor, SIGKILL);
}

void connection_executor_reaped(struct connection *connection, int status)
{
	bool is_others_kill = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !connection->executor_killed_ms;
	char how[VGPU_CONTROL_TEXT_BYTES - 16];
	char text[VGPU_CONTROL_TEXT_BYTES];

	connection->executor = 0;
	if (is_others_kill && connection->account && executor_group_kill_take(&connection->account->group)) {
		log_warning("[CGROUP] %s: %s: " EXECUTOR_GROUP_KILL_TEXT, connection->peer, connection->account->label);
		(void)end_tell(connection, VGPU_ERROR_HOST_MEMORY, UINT32_MAX, EXECUTOR_GROUP_KILL_TEXT);
		return;
	}
	process_status_describe(status, how, sizeof(how));
	snprintf(text, sizeof(text), "the executor %s", how);
	(void)end_tell(connection, VGPU_ERROR_EXECUTOR_ENDED, UINT32_MAX, text);
}

/* The bit of the GPU at that place; 0: there are too many, or executors say so. */
static uint32_t gpu_bit(struct accounts *accounts, uint32_t pci_place)
{
	unsigned at = 0;

	while (at < accounts->gpu_count && accounts->gpus[at].pci_place != pci_place)
		at++;
	if (at == GPUS_MAX)
		return 0;
	if (at == accounts->gpu_count)
		accounts->gpus[accounts->gpu_count++] = (struct hung_gpu){.pci_place = pci_place};
	return 1u << at;
}

/* Bits of the GPUs that it works with, as its executor says: all where that is in the driver before it had a context.
 */
static uint32_t gpus_of(struct accounts *accounts, const struct connection *connection)
{
	const struct hang_places *places = &connection->hang_places;
	uint32_t gpus = 0;

	for (unsigned i = 0; i < places->count; i++) {
		uint32_t bit = gpu_bit(accounts, places->places[i]);

		if (!bit)
			return UINT32_MAX;
		gpus |= bit;
	}
	return gpus ? gpus : UINT32_MAX;
}

static struct hang_look hang_prepare(struct accounts *accounts, uint64_t now_ms, unsigned stuck_ms)
{
	struct hang_look look = {.now_ms = now_ms, .limit_ms = stuck_ms};
	const struct connection *connection;
	unsigned kept = 0;

	for (unsigned gpu = 0; gpu < accounts->gpu_count; gpu++) {
		if (hang_is_recent(&look, accounts->gpus[gpu].hung_ms))
			accounts->gpus[kept++] = accounts->gpus[gpu];
	}
	accounts->gpu_count = kept;
	look.recent = (uint32_t)((UINT64_C(1) << kept) - 1);
	if (hang_is_recent(&look, accounts->all_hung_ms))
		look.recent = UINT32_MAX;
	LIST_FOREACH(connection, &accounts->connections, link)
	{
		if (connection->executor &&
		    hang_is_stuck(&look, &connection->standstill, connection->executor_killed_ms))
			hang_add(&look, connection->account, gpus_of(accounts, connection));
	}
	return look;
}

/* Of the only one of them; UINT32_MAX: it is not known which one it is. */
static uint32_t place_of(const struct accounts *accounts, uint32_t hanging)
{
	for (unsigned gpu = 0; gpu < accounts->gpu_count; gpu++) {
		if (hanging == 1u << gpu)
			return accounts->gpus[gpu].pci_place;
	}
	return UINT32_MAX;
}

static void hanging_note(struct accounts *accounts, uint32_t seen, uint64_t now_ms)
{
	for (unsigned gpu = 0; gpu < accounts->gpu_count; gpu++) {
		if (seen >> gpu & 1)
			accounts->gpus[gpu].hung_ms = now_ms;
	}
	if (seen == UINT32_MAX)
		accounts->all_hung_ms = now_ms;
}

static void standing_end(struct accounts *accounts, struct connection *connection, const struct hang_look *look)
{
	const char *how = connection->silence;
	bool is_stuck = connection->standstill.kind == STANDSTILL_STUCK;
	uint32_t seen = 0;
	uint32_t hangs = is_stuck ? hang_judge(look, connection->account, gpus_of(accounts, connection), &seen) : 0;
	uint32_t pci_place = place_of(accounts, hangs);
	char text[VGPU_CONTROL_TEXT_BYTES];
	char gpu[32] = "a GPU";

	hanging_note(accounts, seen, look->now_ms);
	if (pci_place != UINT32_MAX)
		snprintf(gpu, sizeof(gpu), "GPU %04x:%02x:%02x", pci_place >> 16, pci_place >> 8 & 0xff,
			 pci_place & 0xff);
	if (hangs)
		log_warning("%s: its executor was %s: killed; so are other tenants': %s's driver hangs",
			    connection->peer, how, gpu);
	else
		log_warning("%s: its executor was %s: killed", connection->peer, how);
	snprintf(text, sizeof(text), "the executor was %s", how);
	/* Who waits for the end of an executor that the kernel does not let go is not to wait for ever. */
	if (!end_tell(connection, hangs ? VGPU_ERROR_EXECUTOR_HUNG : VGPU_ERROR_EXECUTOR_ENDED, pci_place, text) &&
	    is_stuck && connection->process)
		kill(connection->process, SIGKILL);
	connection_executor_kill(connection);
}

void accounts_silence_look(struct accounts *accounts, const struct standstill_limits *limits)
{
	unsigned interval_ms = standstill_interval(limits);
	uint64_t now = now_ms();
	struct connection *connection;
	struct hang_look look;
	bool has_silent = false;

	if (!interval_ms || now - accounts->silence_looked_ms < interval_ms)
		return;
	accounts->silence_looked_ms = now;
	LIST_FOREACH(connection, &accounts->connections, link)
	{
		connection->silence[0] = '\0';
		/* What was seen of one that was killed and does not end stays as it was. */
		if (!connection->executor || connection->executor_killed_ms)
			continue;
		if (connection->counters)
			hang_places_look(&connection->hang_places, connection->counters);
		has_silent |= standstill_look(&connection->standstill, connection->executor, limits, now,
					      connection->silence);
	}
	if (!has_silent)
		return;
	look = hang_prepare(accounts, now, limits->stuck_ms);
	LIST_FOREACH(connection, &accounts->connections, link)
	{
		if (connection->silence[0])
			standing_end(accounts, connection, &look);
	}
}
