/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of a VM's device or of a local program.  Until its first message
 * it is neither.  When it ends, its channels are closed; it is freed after the
 * last of them.
 */
#ifndef MEDIATOR_SESSION_H
#define MEDIATOR_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "channel.h"
#include "control_socket.h"
#include "log.h"
#include "pace.h"

struct event;
struct mediator;

enum session_kind { SESSION_NEW, SESSION_DEVICE, SESSION_CLIENT };

#define SESSION_NAME_BYTES 64

/* Why somebody is no VM: printf() with his user. */
#define SESSION_NO_DEVICE "user %u may not connect as a VM on this socket (device-user)"

struct session {
	LIST_ENTRY(session) link;
	struct mediator *mediator;
	enum session_kind kind;
	uint64_t number;
	int socket;	      /* -1: the connection has ended */
	bool devices_allowed; /* the listener's rule, applied to this peer */
	struct ucred peer;
	struct event *readable;
	struct event *hello_timer;
	struct log_limits vm_log;
	struct pace pace;	       /* of a VM's executors */
	struct log_limits *log;	       /* a VM's own; programs share their user's, for they come and go */
	char name[SESSION_NAME_BYTES]; /* the VM's or the program's, for logs */

	struct tenant *tenant; /* NULL: not known yet */
	uint32_t vm_id;	       /* 0: a local program; of a program that runs a VM's job that VM's */
	uint32_t pool_id;      /* as the device or the configuration says */
	uint32_t priority;
	uint32_t channel_count;
	uint64_t channel_bytes;
	uint32_t xen_domain; /* 0: no guest of Xen */
	uint32_t xen_grants;
	int memory;		 /* the VM's BAR1 or the program's channel; open until all channels are closed */
	struct cleaning closing; /* of the memory, which is the cleaner's then */
	bool is_closing_memory;
	struct channel *channels[VGPU_CHANNELS_MAX]; /* a program has the first one only */
	uint32_t channels_open;
	uint32_t close_generations[VGPU_CHANNELS_MAX]; /* of the CHANNEL_CLOSE to be answered */

	/* The program's process: the end of it is not the end of its socket if it had forked. */
	int client_process;
	struct event *client_exited;
	/* The program's ends, until it is given them. */
	int client_doorbell;
	int client_interrupt;
	int client_pass_socket;
};

/*
 * Takes over an accepted, non-blocking socket. 'devices_allowed': whether this peer may be a VM.  A
 * connection beyond a limit is told so and closed.
 */
void session_accept(struct mediator *mediator, int socket, const struct ucred *peer, bool devices_allowed);

/* What an earlier mediator knew of a session. */
struct session_state {
	uint64_t number;
	enum session_kind kind;
	struct ucred peer;
	bool devices_allowed;
	uint32_t vm_id;
	uint32_t pool_id;
	uint32_t priority;
	uint32_t channel_count;
	uint64_t channel_bytes;
	uint32_t xen_domain;
	uint32_t xen_grants;
	const char *name;
	const struct tenant_key *tenant;
	int memory;
};

/* Goes on with it; socket and memory are taken over only if it is not NULL. */
struct session *session_restore(struct mediator *mediator, int socket, const struct session_state *state);

/* Ends the connection and closes the channels. The session stays valid until the loop's next turn. */
void session_end(struct session *session, const char *why);

/* Sends; a peer that does not take it loses its connection. */
void session_send(struct session *session, enum vgpu_control_type type, struct control_message *message);

/* Answers a hello; with another error than VGPU_ERROR_NONE the connection ends. */
void session_reply(struct session *session, enum vgpu_channel_error error, const char *text);

/* A channel of the session was closed: forgets it. */
void session_channel_closed(struct session *session, uint32_t index);

/* The pool that its programs start in: the tenant's, where it has one. */
uint32_t session_pool(const struct session *session);

/* Answers a hello whose tenant could not be taken, by errno. */
void session_tenant_missing(struct session *session);

/* Connections that are there. */
unsigned sessions_count(const struct mediator *mediator);

void sessions_end_all(struct mediator *mediator, const char *why);

/* Frees what is over; the handler of mediator->session_sweep. */
void sessions_sweep(struct mediator *mediator);

#endif
