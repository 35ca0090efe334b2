/* SPDX-License-Identifier: Apache-2.0 */
#include "adoption.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "closer.h"
#include "executor_process.h"
#include "executor_user.h"
#include "keeper.h"
#include "log.h"
#include "mediator.h"
#include "scheduler.h"
#include "session.h"
#include "session_client.h"
#include "session_device.h"

/* Descriptors of the entries. */
enum { SESSION_FD_SOCKET, SESSION_FD_MEMORY, SESSION_FDS };
enum {
	CHANNEL_FD_PERMIT = KEEPER_CHANNEL_PERMIT,
	CHANNEL_FD_WAKE = KEEPER_CHANNEL_WAKE,
	CHANNEL_FD_BELL,
	CHANNEL_FD_TENANT,
	CHANNEL_FD_COUNTERS,
	CHANNEL_FD_CONTROL,
	CHANNEL_FD_LOG,
	CHANNEL_FD_PROCESS,
	CHANNEL_FDS,
};
_Static_assert(CHANNEL_FDS <= KEEPER_FDS_MAX, "they go into one entry");

/*
 * Of the same program on both sides; what a mediator of another version has kept is not looked at. The number changes
 * with what is kept, and with what its descriptors are.
 */
#define KEPT_VERSION VGPU_VERSION "/3"

struct kept_session {
	uint64_t number;
	struct ucred peer;
	uint32_t kind;
	uint32_t devices_allowed;
	uint32_t vm_id;
	uint32_t pool_id;
	uint32_t priority;
	uint32_t channel_count;
	uint64_t channel_bytes;
	uint32_t xen_domain;
	uint32_t xen_grants;
	struct tenant_key tenant;
	char name[SESSION_NAME_BYTES];
	char version[32];
};

struct kept_channel {
	uint64_t session;
	uint32_t index;
	uint32_t generation;
	pid_t process;
	uint32_t gpu;
	uint32_t is_placed;
	uint32_t is_telemetry;
	uint32_t shown_gpu;
	uid_t user;			     /* the tenant's own; 0: none */
	char gpu_uuid[PLACEMENT_UUID_BYTES]; /* as in struct channel: its number may be another's by then */
};

_Static_assert(sizeof(struct kept_session) <= KEEPER_BLOB_BYTES && sizeof(struct kept_channel) <= KEEPER_BLOB_BYTES,
	       "they go into an entry");

static uint64_t channel_key(const struct session *session, uint32_t index)
{
	return session->number * VGPU_CHANNELS_MAX + index;
}

static void put(struct mediator *mediator, const struct keeper_entry *entry, const char *what)
{
	if (keeper_put(mediator->keeper, entry) < 0)
		log_warning("[KEEPER] %s would not survive a restart: %s", what, strerror(errno));
}

void adoption_session_keep(struct session *session)
{
	struct kept_session kept = {
		.number = session->number,
		.peer = session->peer,
		.kind = session->kind,
		.devices_allowed = session->devices_allowed,
		.vm_id = session->vm_id,
		.pool_id = session->pool_id,
		.priority = session->priority,
		.channel_count = session->channel_count,
		.channel_bytes = session->channel_bytes,
		.xen_domain = session->xen_domain,
		.xen_grants = session->xen_grants,
		.version = KEPT_VERSION,
	};
	struct keeper_entry entry = {
		.kind = KEEPER_SESSION,
		.bytes = sizeof(kept),
		.key = session->number,
		.fds = {session->socket, session->memory},
		.fd_count = SESSION_FDS,
	};

	if (session->mediator->keeper < 0 || session->socket < 0)
		return;
	kept.tenant = session->tenant->key;
	memcpy(kept.name, session->name, sizeof(kept.name));
	memcpy(entry.blob, &kept, sizeof(kept));
	put(session->mediator, &entry, session->name);
}

void adoption_session_forget(struct session *session)
{
	if (session->mediator->keeper >= 0)
		keeper_drop(session->mediator->keeper, KEEPER_SESSION, session->number);
}

void adoption_channel_keep(struct channel *channel)
{
	const struct session *session = channel->request.owner;
	struct kept_channel kept = {
		.session = session->number,
		.index = channel->request.index,
		.generation = channel->request.generation,
		.process = executor_process_pid(channel->executor),
		.gpu = channel->request.gpu,
		.is_placed = channel->is_placed,
		.is_telemetry = channel->is_telemetry,
		.shown_gpu = channel->shown_gpu,
		.user = channel->request.tenant->executor_user,
	};
	struct scheduler_descriptors schedule = scheduler_descriptors_of(channel->schedule);
	struct executor_descriptors executor = executor_process_descriptors(channel->executor);
	struct keeper_entry entry = {
		.kind = KEEPER_CHANNEL,
		.bytes = sizeof(kept),
		.key = channel_key(session, channel->request.index),
		.fds = {schedule.permit, schedule.wake, schedule.bell, schedule.tenant, channel->counters.file,
			executor.control, executor.log, executor.process},
		.fd_count = CHANNEL_FDS,
	};

	if (channel->mediator->keeper < 0)
		return;
	snprintf(kept.gpu_uuid, sizeof(kept.gpu_uuid), "%s", channel->gpu);
	memcpy(entry.blob, &kept, sizeof(kept));
	put(channel->mediator, &entry, channel->label);
}

void adoption_channel_forget(struct channel *channel)
{
	if (channel->mediator->keeper >= 0)
		keeper_drop(channel->mediator->keeper, KEEPER_CHANNEL,
			    channel_key(channel->request.owner, channel->request.index));
}

static void entry_close(struct keeper_entry *entry)
{
	for (uint32_t i = 0; i < entry->fd_count; i++) {
		if (entry->fds[i] >= 0)
			closer_close(entry->fds[i]);
	}
}

static bool session_is_foreign(const struct keeper_entry *entry)
{
	struct kept_session kept;

	if (entry->kind != KEEPER_SESSION)
		return false;
	memcpy(&kept, entry->blob, sizeof(kept));
	return entry->bytes != sizeof(kept) || strncmp(kept.version, KEPT_VERSION, sizeof(kept.version)) != 0;
}

static bool session_adopt(struct mediator *mediator, struct keeper_entry *entry)
{
	struct kept_session kept;
	struct session_state state;

	if (entry->fd_count != SESSION_FDS)
		return false;
	memcpy(&kept, entry->blob, sizeof(kept));
	kept.name[sizeof(kept.name) - 1] = '\0';
	if (kept.kind != SESSION_DEVICE && kept.kind != SESSION_CLIENT)
		return false;
	state = (struct session_state){
		.number = kept.number,
		.kind = (enum session_kind)kept.kind,
		.peer = kept.peer,
		.devices_allowed = kept.devices_allowed,
		.vm_id = kept.vm_id,
		.pool_id = kept.pool_id,
		.priority = kept.priority,
		.channel_count = kept.channel_count,
		.channel_bytes = kept.channel_bytes,
		.xen_domain = kept.xen_domain,
		.xen_grants = kept.xen_grants,
		.name = kept.name,
		.tenant = &kept.tenant,
		.memory = entry->fds[SESSION_FD_MEMORY],
	};
	/* The descriptors are the session's when it succeeds. */
	if (!session_restore(mediator, entry->fds[SESSION_FD_SOCKET], &state))
		return false;
	entry->fd_count = 0;
	return true;
}

static struct session *session_find(const struct mediator *mediator, uint64_t number)
{
	struct session *session;

	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (session->number == number)
			return session;
	}
	return NULL;
}

static bool channel_adopt_entry(struct mediator *mediator, struct keeper_entry *entry)
{
	struct kept_channel kept;
	struct session *session;
	struct channel_request request;
	struct channel_adoption adoption;
	char label[96];

	if (entry->bytes != sizeof(kept) || entry->fd_count != CHANNEL_FDS)
		return false;
	memcpy(&kept, entry->blob, sizeof(kept));
	kept.gpu_uuid[sizeof(kept.gpu_uuid) - 1] = '\0';
	session = session_find(mediator, kept.session);
	if (!session || kept.index >= VGPU_CHANNELS_MAX || session->channels[kept.index])
		return false;
	if (session->kind == SESSION_DEVICE)
		session_device_request(session, kept.index, kept.generation, label, sizeof(label), &request);
	else
		session_client_request(session, label, sizeof(label), &request);
	request.gpu = kept.gpu;
	executor_user_adopt(session->tenant, kept.user);
	adoption = (struct channel_adoption){
		.process = kept.process,
		.process_fd = entry->fds[CHANNEL_FD_PROCESS],
		.control = entry->fds[CHANNEL_FD_CONTROL],
		.log = entry->fds[CHANNEL_FD_LOG],
		.counters = entry->fds[CHANNEL_FD_COUNTERS],
		.schedule = {.permit = entry->fds[CHANNEL_FD_PERMIT],
			     .wake = entry->fds[CHANNEL_FD_WAKE],
			     .bell = entry->fds[CHANNEL_FD_BELL],
			     .tenant = entry->fds[CHANNEL_FD_TENANT]},
		.is_placed = kept.is_placed != 0,
		.gpu = kept.gpu_uuid,
		.is_telemetry = kept.is_telemetry != 0,
		.shown_gpu = kept.shown_gpu,
	};
	entry->fd_count = 0;
	/* Takes the descriptors over in any case. */
	session->channels[kept.index] = channel_adopt(mediator, &request, &adoption);
	if (!session->channels[kept.index])
		return false;
	session->channels_open++;
	return true;
}

/* What was not adopted, as the keeper knows it. */
struct refused {
	struct refused_key {
		enum keeper_kind kind;
		uint64_t key;
	} * keys;
	size_t count;
};

static void refused_note(struct refused *refused, const struct keeper_entry *entry)
{
	struct refused_key *keys = realloc(refused->keys, (refused->count + 1) * sizeof(*keys));

	if (!keys) {
		log_error("[KEEPER] out of memory: a connection or an executor that is not adopted does not end");
		return;
	}
	refused->keys = keys;
	keys[refused->count++] = (struct refused_key){.kind = (enum keeper_kind)entry->kind, .key = entry->key};
}

/* With the last descriptors of it: its peers see the end. When all was taken, for the keeper listens only then. */
static void refused_drop(struct refused *refused, int keeper)
{
	/* A keeper that does not take it is ending, and these with it. */
	for (size_t i = 0; i < refused->count; i++)
		(void)keeper_drop(keeper, refused->keys[i].kind, refused->keys[i].key);
	free(refused->keys);
}

void adoption_begin(struct mediator *mediator)
{
	const struct configuration_list *sockets = &mediator->configuration.sockets;
	struct keeper_entry entry;
	struct refused refused = {0};
	unsigned sessions = 0, channels = 0;
	char path[PATH_MAX];
	bool is_foreign = false;
	bool found;

	mediator->keeper = -1;
	if (mediator->configuration.keep_seconds == 0)
		return;
	/* Beside the first socket, which only we can have opened. */
	snprintf(path, sizeof(path), "%s.keeper", sockets->count ? sockets->values[0] : VGPU_SOCKET_PATH);
	if (keeper_open(path, mediator->configuration.keep_seconds, &mediator->keeper, &found) < 0) {
		log_warning("[KEEPER] %s: %s: a restart will end running programs", path, strerror(errno));
		mediator->keeper = -1;
		return;
	}
	while (found && keeper_take(mediator->keeper, &entry)) {
		if (session_is_foreign(&entry)) {
			is_foreign = true;
			refused_note(&refused, &entry);
		} else if (entry.kind == KEEPER_SESSION && session_adopt(mediator, &entry)) {
			sessions++;
		} else if (entry.kind == KEEPER_CHANNEL && channel_adopt_entry(mediator, &entry)) {
			channels++;
		} else {
			refused_note(&refused, &entry);
		}
		entry_close(&entry);
	}
	refused_drop(&refused, mediator->keeper);
	/* One that was just ending, for it had nothing left. */
	if (found && keeper_drop(mediator->keeper, KEEPER_SESSION, 0) < 0) {
		close(mediator->keeper);
		if (keeper_open(path, mediator->configuration.keep_seconds, &mediator->keeper, &found) < 0)
			mediator->keeper = -1;
		found = false;
	}
	if (is_foreign)
		log_warning("[KEEPER] what a mediator of another version has left is not adopted: its programs end");
	else if (found)
		log_info("[KEEPER] adopted %u connections and %u executors%s", sessions, channels,
			 refused.count ? "; others could not be, and end" : "");
}

void adoption_quit(struct mediator *mediator)
{
	if (mediator->keeper < 0)
		return;
	keeper_quit(mediator->keeper);
	close(mediator->keeper);
	mediator->keeper = -1;
}
