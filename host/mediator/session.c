/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adoption.h"
#include "cleaner.h"
#include "closer.h"
#include "log.h"
#include "mediator.h"
#include "session_client.h"
#include "session_device.h"

/* Messages of one peer before the others have their turn. */
#define MESSAGES_PER_WAKEUP_MAX 16

/* Users share the limits of the log with those whose number ends alike. */
#define USER_LIMITS_COUNT 64

#define PEER_LOG_LIMITS                                                    \
	{                                                                  \
		.events = LOG_LIMIT(10, 100), .output = LOG_LIMIT(50, 200) \
	}

static struct log_limits user_limits[USER_LIMITS_COUNT] = {[0 ... USER_LIMITS_COUNT - 1] = PEER_LOG_LIMITS};

static struct log_limits *user_log(uid_t user)
{
	return &user_limits[user % USER_LIMITS_COUNT];
}

unsigned sessions_count(const struct mediator *mediator)
{
	const struct session *session;
	unsigned count = 0;

	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (session->socket >= 0)
			count++;
	}
	return count;
}

static unsigned user_sessions_count(const struct mediator *mediator, uid_t user)
{
	const struct session *session;
	unsigned count = 0;

	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (session->socket >= 0 && session->peer.uid == user)
			count++;
	}
	return count;
}

static void session_free(struct session *session)
{
	if (session->tenant)
		tenant_release(session->tenant);
	if (session->readable)
		event_free(session->readable);
	if (session->hello_timer)
		event_free(session->hello_timer);
	closer_hang_up(session->socket);
	if (session->memory >= 0)
		close(session->memory);
	if (session->client_exited)
		event_free(session->client_exited);
	if (session->client_process >= 0)
		close(session->client_process);
	if (session->client_doorbell >= 0)
		close(session->client_doorbell);
	if (session->client_interrupt >= 0)
		close(session->client_interrupt);
	closer_close(session->client_pass_socket);
	free(session);
}

static void session_forget(struct session *session)
{
	log_debug("[SOCKET] connection %llu is over", (unsigned long long)session->number);
	LIST_REMOVE(session, link);
	session_free(session);
}

static void memory_closed(void *owner, int error)
{
	(void)error;
	session_forget(owner);
}

/*
 * What a VM wrote outside of its channels, or when they were closed, goes with its memory file. It gets no hole: who
 * had given it to us may have come back with it.
 */
static void session_finish(struct session *session)
{
	struct cleaner *cleaner = session->mediator->cleaner;

	if (!cleaner || (session->memory < 0 && !session->is_closing_memory)) {
		session_forget(session);
		return;
	}
	if (session->is_closing_memory)
		return;
	session->is_closing_memory = true;
	session->closing = (struct cleaning){
		.whose = session,
		.memory = session->memory,
		.closes = true,
		.done = memory_closed,
		.owner = session,
	};
	session->memory = -1;
	cleaner_add(cleaner, &session->closing);
}

void sessions_sweep(struct mediator *mediator)
{
	struct session *session = LIST_FIRST(&mediator->sessions);

	while (session) {
		struct session *next = LIST_NEXT(session, link);

		if (session->socket < 0 && session->channels_open == 0)
			session_finish(session);
		session = next;
	}
}

void session_end(struct session *session, const char *why)
{
	if (session->socket < 0)
		return;
	log_write_limited(&session->log->events, LOG_LEVEL_INFO, "[SOCKET] Connection %llu closed (pid=%d): %s",
			  (unsigned long long)session->number, (int)session->peer.pid, why);
	event_del(session->readable);
	event_del(session->hello_timer);
	if (session->client_exited)
		event_del(session->client_exited);
	adoption_session_forget(session);
	closer_hang_up(session->socket);
	session->socket = -1;
	for (uint32_t i = 0; i < VGPU_CHANNELS_MAX; i++) {
		if (session->channels[i])
			channel_close(session->channels[i]);
	}
	event_active(session->mediator->session_sweep, EV_TIMEOUT, 0);
}

void sessions_end_all(struct mediator *mediator, const char *why)
{
	struct session *session;

	/* Sessions stay in the list until the sweep. */
	LIST_FOREACH(session, &mediator->sessions, link)
	session_end(session, why);
}

void session_channel_closed(struct session *session, uint32_t index)
{
	session->channels[index] = NULL;
	session->channels_open--;
	if (session->socket < 0)
		event_active(session->mediator->session_sweep, EV_TIMEOUT, 0);
}

void session_send(struct session *session, enum vgpu_control_type type, struct control_message *message)
{
	if (session->socket < 0)
		return;
	if (control_send(session->socket, type, message) < 0)
		session_end(session, errno == EAGAIN ? "the peer does not read" : strerror(errno));
}

void session_reply(struct session *session, enum vgpu_channel_error error, const char *text)
{
	struct control_message message = {.hello_reply = {.error = error}};

	snprintf(message.hello_reply.text, sizeof(message.hello_reply.text), "%s", text);
	session_send(session, VGPU_CONTROL_HELLO_REPLY, &message);
	if (error != VGPU_ERROR_NONE) {
		log_write_limited(&session->log->events, LOG_LEVEL_WARNING, "[CONNECTION] Refused: pid=%d uid=%u: %s",
				  (int)session->peer.pid, (unsigned)session->peer.uid, text);
		session->mediator->sessions_refused++;
		session_end(session, "refused");
	}
}

uint32_t session_pool(const struct session *session)
{
	return session->tenant ? tenant_pool(session->tenant) : session->pool_id;
}

void session_tenant_missing(struct session *session)
{
	if (errno == EIO)
		session_reply(session, VGPU_ERROR_REFUSED, "the host's database cannot be read");
	else
		session_reply(session, VGPU_ERROR_NO_MEMORY, "the host is out of memory");
}

static bool version_is_ours(const struct control_message *message)
{
	return message->header.version >> 16 == VGPU_PROTOCOL_MAJOR;
}

static void hello_take(struct session *session, struct control_message *message)
{
	uint32_t type = message->header.type;
	char text[VGPU_CONTROL_TEXT_BYTES];

	event_del(session->hello_timer);
	if (!version_is_ours(message)) {
		snprintf(text, sizeof(text), "protocol version %u.%u, the mediator speaks %d.x",
			 message->header.version >> 16, message->header.version & 0xffff, VGPU_PROTOCOL_MAJOR);
		session_reply(session, VGPU_ERROR_VERSION, text);
	} else if (type == VGPU_CONTROL_DEVICE_HELLO) {
		session_device_hello(session, message);
	} else if (type == VGPU_CONTROL_CLIENT_HELLO) {
		session_client_hello(session, message);
	} else {
		session_end(session, "the first message was no hello");
	}
}

static void message_take(struct session *session, struct control_message *message)
{
	switch (session->kind) {
	case SESSION_NEW:
		hello_take(session, message);
		break;
	case SESSION_DEVICE:
		session_device_message(session, message);
		break;
	case SESSION_CLIENT:
		session_end(session, "a program sent a message after its hello");
		break;
	}
}

/* Only a device has descriptors to send, and only who may be one: no other's are even received. */
static int message_receive(const struct session *session, struct control_message *ret_message)
{
	if (session->devices_allowed && session->kind != SESSION_CLIENT)
		return control_receive(session->socket, ret_message);
	return control_receive_bare(session->socket, ret_message);
}

static void descriptors_refuse(struct session *session)
{
	char text[VGPU_CONTROL_TEXT_BYTES];

	/* Nobody else sends any. */
	snprintf(text, sizeof(text), SESSION_NO_DEVICE, (unsigned)session->peer.uid);
	if (session->kind == SESSION_NEW)
		session_reply(session, VGPU_ERROR_REFUSED, text);
	session_end(session, "a program sent descriptors");
}

static void socket_readable(evutil_socket_t socket, short what, void *argument)
{
	struct session *session = argument;
	struct control_message message;

	(void)socket;
	(void)what;
	for (unsigned i = 0; i < MESSAGES_PER_WAKEUP_MAX && session->socket >= 0; i++) {
		int received = message_receive(session, &message);

		if (received < 0 && errno == EAGAIN)
			return;
		if (received < 0 && errno == EBADMSG) {
			descriptors_refuse(session);
		} else if (received < 0) {
			session_end(session, errno == EPROTO ? "it sent a message that is none" : strerror(errno));
		} else if (received == 0) {
			session_end(session, "closed by the peer");
		} else {
			message_take(session, &message);
			control_message_release(&message);
		}
	}
}

static void hello_timed_out(evutil_socket_t none, short what, void *argument)
{
	(void)none;
	(void)what;
	session_end(argument, "no hello in time");
}

/* Tells a peer beyond a limit why, without waiting for its hello. */
static void connection_refuse(int socket, const struct ucred *peer, const char *text)
{
	struct control_message message = {.fd_count = 0};

	message.hello_reply.error = VGPU_ERROR_REFUSED;
	snprintf(message.hello_reply.text, sizeof(message.hello_reply.text), "%s", text);
	if (control_send(socket, VGPU_CONTROL_HELLO_REPLY, &message) < 0)
		log_debug("[SOCKET] the refusal was not taken: %s", strerror(errno));
	log_write_limited(&user_log(peer->uid)->events, LOG_LEVEL_WARNING,
			  "[SOCKET] Connection refused (pid=%d uid=%u): %s", (int)peer->pid, (unsigned)peer->uid, text);
	closer_hang_up(socket);
}

static struct session *session_create(struct mediator *mediator, int socket, const struct ucred *peer)
{
	struct timeval hello_time = {.tv_sec = mediator->configuration.hello_seconds};
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	*session = (struct session){
		.mediator = mediator,
		.number = ++mediator->sessions_accepted,
		.socket = -1,
		.peer = *peer,
		.vm_log = PEER_LOG_LIMITS,
		.log = user_log(peer->uid),
		.client_process = -1,
		.memory = -1,
		.client_doorbell = -1,
		.client_interrupt = -1,
		.client_pass_socket = -1,
	};
	pace_init(&session->pace);
	session->readable = event_new(mediator->base, socket, EV_READ | EV_PERSIST, socket_readable, session);
	session->hello_timer = evtimer_new(mediator->base, hello_timed_out, session);
	if (!session->readable || !session->hello_timer || event_add(session->readable, NULL) < 0 ||
	    event_add(session->hello_timer, &hello_time) < 0) {
		session_free(session);
		return NULL;
	}
	session->socket = socket;
	LIST_INSERT_HEAD(&mediator->sessions, session, link);
	return session;
}

struct session *session_restore(struct mediator *mediator, int socket, const struct session_state *state)
{
	struct session *session = session_create(mediator, socket, &state->peer);

	if (!session)
		return NULL;
	event_del(session->hello_timer);
	session->tenant = tenant_take(mediator, state->tenant, state->priority);
	if (!session->tenant) {
		session->socket = -1;
		LIST_REMOVE(session, link);
		session_free(session);
		return NULL;
	}
	session->number = state->number;
	if (mediator->sessions_accepted < state->number)
		mediator->sessions_accepted = state->number;
	session->kind = state->kind;
	session->devices_allowed = state->devices_allowed;
	session->vm_id = state->vm_id;
	session->pool_id = state->pool_id;
	session->priority = state->priority;
	if (session->kind == SESSION_DEVICE)
		tenant_device_take(session->tenant, state->pool_id, state->priority);
	else if (!session->vm_id || !session->tenant->pool_told)
		session->tenant->pool_told = state->pool_id;
	session->channel_count = state->channel_count;
	session->channel_bytes = state->channel_bytes;
	session->xen_domain = state->xen_domain;
	session->xen_grants = state->xen_grants;
	session->memory = state->memory;
	snprintf(session->name, sizeof(session->name), "%s", state->name);
	if (session->vm_id)
		session->log = &session->vm_log;
	if (session->kind == SESSION_CLIENT)
		session_client_watch(session);
	return session;
}

void session_accept(struct mediator *mediator, int socket, const struct ucred *peer, bool devices_allowed)
{
	const struct configuration *configuration = &mediator->configuration;
	char text[VGPU_CONTROL_TEXT_BYTES];
	struct session *session;

	if (sessions_count(mediator) >= configuration->connections_max) {
		snprintf(text, sizeof(text), "the mediator's limit of %u connections is reached",
			 configuration->connections_max);
		mediator->sessions_refused++;
		connection_refuse(socket, peer, text);
		return;
	}
	if (user_sessions_count(mediator, peer->uid) >= configuration->user_connections_max) {
		snprintf(text, sizeof(text), "the limit of %u connections of user %u is reached",
			 configuration->user_connections_max, (unsigned)peer->uid);
		mediator->sessions_refused++;
		connection_refuse(socket, peer, text);
		return;
	}
	session = session_create(mediator, socket, peer);
	if (!session) {
		connection_refuse(socket, peer, "the mediator is out of memory");
		return;
	}
	session->devices_allowed = devices_allowed;
	log_write_limited(&session->log->events, LOG_LEVEL_INFO, "[SOCKET] New connection %llu (pid=%d uid=%u gid=%u)",
			  (unsigned long long)session->number, (int)peer->pid, (unsigned)peer->uid,
			  (unsigned)peer->gid);
}
