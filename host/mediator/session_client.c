/* SPDX-License-Identifier: Apache-2.0 */
#include "session_client.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "admission.h"
#include "adoption.h"
#include "closer.h"
#include "executor_user.h"
#include "log.h"
#include "mediator.h"
#include "tenant_use.h"
#include "vgpu_channel.h"

/* Of the same user, or jobs of the same VM. */
static unsigned processes_count(const struct session *session)
{
	const struct session *other;
	unsigned count = 0;

	LIST_FOREACH(other, &session->mediator->sessions, link)
	{
		if (other->kind == SESSION_CLIENT && other->vm_id == session->vm_id &&
		    (session->vm_id || other->peer.uid == session->peer.uid))
			count += other->channels_open;
	}
	return count;
}

/*
 * May it say whose VM's job it runs? The user of vgpu-jobs may, who can do nothing else here; never an executor, whose
 * guest may have taken it over.
 */
static bool jobs_are_allowed(const struct session *session)
{
	const struct mediator *mediator = session->mediator;
	uid_t user = session->peer.uid;

	if (executor_user_is(mediator, user))
		return false;
	return user == 0 || user == geteuid() || (mediator->jobs_user && user == mediator->jobs_user);
}

static void client_ends_close(struct session *session)
{
	int *ends[] = {&session->client_doorbell, &session->client_interrupt};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (*ends[i] >= 0)
			close(*ends[i]);
		*ends[i] = -1;
	}
	closer_close(session->client_pass_socket);
	session->client_pass_socket = -1;
}

static void client_channel_ready(struct channel *channel)
{
	struct session *session = channel->request.owner;
	struct control_message message = {
		.client_channel = {.channel_bytes = VGPU_CHANNEL_BYTES_LOCAL},
		.fds = {session->memory, session->client_doorbell, session->client_interrupt,
			session->client_pass_socket},
		.fd_count = 4,
	};

	session_reply(session, VGPU_ERROR_NONE, "");
	session_send(session, VGPU_CONTROL_CLIENT_CHANNEL, &message);
	client_ends_close(session);
	adoption_session_keep(session);
}

static void client_channel_failed(struct channel *channel, enum vgpu_channel_error error, const char *text)
{
	session_reply(channel->request.owner, error, text);
}

static void client_channel_refused(struct channel *channel, enum vgpu_channel_error error, const char *text)
{
	session_channel_closed(channel->request.owner, 0);
	session_reply(channel->request.owner, error, text);
}

static void client_channel_lost(struct channel *channel, enum vgpu_channel_error error, const char *text)
{
	struct session *session = channel->request.owner;
	struct control_message message = {.channel = {.error = error}};

	snprintf(message.channel.text, sizeof(message.channel.text), "%s", text);
	session_send(session, VGPU_CONTROL_CHANNEL_LOST, &message);
	/* Nothing can come after this: gives the memory back now, not when the program ends. */
	session_end(session, "its executor was lost");
}

static void client_channel_closed(struct channel *channel)
{
	session_channel_closed(channel->request.owner, 0);
}

static const struct channel_handlers client_handlers = {
	.ready = client_channel_ready,
	.refused = client_channel_refused,
	.failed = client_channel_failed,
	.lost = client_channel_lost,
	.closed = client_channel_closed,
};

/* A memory file of the channel's size that nobody can resize: -1 with errno. */
static int memory_create(void)
{
	int memory = memfd_create("vgpu-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (memory < 0)
		return -1;
	if (ftruncate(memory, VGPU_CHANNEL_BYTES_LOCAL) < 0 ||
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int error = errno;

		close(memory);
		errno = error;
		return -1;
	}
	return memory;
}

/*
 * What the program and its executor share.  The eventfds do not block: with a blocking one, either
 * side could fill it and stop the other.  0, or -1 with errno; what was made is in the session or in
 * the request and is closed with it.
 */
static int shared_create(struct session *session, struct channel_request *request)
{
	int pass_sockets[2];

	session->memory = memory_create();
	if (session->memory < 0)
		return -1;
	session->client_doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	session->client_interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (session->client_doorbell < 0 || session->client_interrupt < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pass_sockets) < 0)
		return -1;
	session->client_pass_socket = pass_sockets[0];
	request->pass_socket = pass_sockets[1];
	request->memory = session->memory;
	request->doorbell = fcntl(session->client_doorbell, F_DUPFD_CLOEXEC, 0);
	request->interrupt = fcntl(session->client_interrupt, F_DUPFD_CLOEXEC, 0);
	return request->doorbell < 0 || request->interrupt < 0 ? -1 : 0;
}

static void client_exited(evutil_socket_t process, short what, void *argument)
{
	(void)process;
	(void)what;
	session_end(argument, "the program has ended");
}

/*
 * A child of the program may hold the connection open after the program was killed. Without the help
 * of the kernel (Linux 5.3), or where the program is in a namespace that we do not see, its executor
 * stays until that child ends too.
 */
void session_client_watch(struct session *session)
{
	if (session->peer.pid <= 0)
		return;
	session->client_process = (int)syscall(SYS_pidfd_open, session->peer.pid, 0);
	if (session->client_process < 0)
		return;
	session->client_exited =
		event_new(session->mediator->base, session->client_process, EV_READ, client_exited, session);
	if (session->client_exited)
		event_add(session->client_exited, NULL);
}

static void request_descriptors_close(struct channel_request *request)
{
	int *ends[] = {&request->doorbell, &request->interrupt, &request->pass_socket};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (*ends[i] >= 0)
			close(*ends[i]);
	}
}

static struct tenant *client_tenant_take(struct session *session)
{
	struct tenant_key key = {.kind = TENANT_USER, .id = session->peer.uid};

	if (session->vm_id) {
		key = (struct tenant_key){.kind = TENANT_VM, .id = session->vm_id};
		return tenant_take(session->mediator, &key, session->priority);
	}
	/* By a name that the program says itself: for measurements, and where all programs are trusted. */
	if (session->mediator->configuration.tenant_per_program) {
		key = (struct tenant_key){.kind = TENANT_PROGRAM};
		snprintf(key.name, sizeof(key.name), "%s", session->name);
	}
	return tenant_take(session->mediator, &key, session->priority);
}

void session_client_request(struct session *session, char *label, size_t label_bytes,
			    struct channel_request *ret_request)
{
	if (session->vm_id)
		snprintf(label, label_bytes, "vm_id=%u job=%" PRIu64, session->vm_id, session->number);
	else
		snprintf(label, label_bytes, "vm_id=0 uid=%u client=%d", (unsigned)session->peer.uid,
			 (int)session->peer.pid);
	*ret_request = (struct channel_request){
		.owner = session,
		.handlers = &client_handlers,
		.label = label,
		.log = session->log,
		.tenant = session->tenant,
		.vm_id = session->vm_id,
		.user = session->peer.uid,
		/* Of jobs it is vgpu-jobs, which has made the connection. */
		.process = session->vm_id ? 0 : session->peer.pid,
		.process_namespace = session->vm_id ? 0 : tenant_process_namespace(session->peer.pid),
		.pool_id = session_pool(session),
		.memory = session->memory,
		.bytes = VGPU_CHANNEL_BYTES_LOCAL,
		.is_fresh = true,
		.doorbell = -1,
		.interrupt = -1,
		.pass_socket = -1,
	};
}

/* A sentence in 'text' and false: it is refused. */
static bool limits_check(struct session *session, const struct channel_request *request, char *text)
{
	const struct configuration *configuration = &session->mediator->configuration;
	unsigned limit = session->vm_id ? configuration->vm_processes_max : configuration->user_processes_max;

	if (processes_count(session) < limit)
		return true;
	admission_refusal_note(session->mediator, request);
	if (session->vm_id)
		snprintf(text, VGPU_CONTROL_TEXT_BYTES, "the limit of %u jobs of VM %u is reached", limit,
			 session->vm_id);
	else
		snprintf(text, VGPU_CONTROL_TEXT_BYTES, "the limit of %u processes of user %u is reached", limit,
			 (unsigned)session->peer.uid);
	return false;
}

/* Whose program it is. False: an answer was sent. */
static bool identity_take(struct session *session, const struct vgpu_control_client_hello *hello)
{
	struct mediator *mediator = session->mediator;
	char text[VGPU_CONTROL_TEXT_BYTES];

	session->kind = SESSION_CLIENT;
	session->priority = VGPU_PRIORITY_MEDIUM;
	log_text_copy(session->name, sizeof(session->name), hello->process_name, sizeof(hello->process_name));
	if (hello->job_vm_id && !jobs_are_allowed(session)) {
		snprintf(text, sizeof(text), "user %u may not run jobs of VMs (jobs-user)",
			 (unsigned)session->peer.uid);
		session_reply(session, VGPU_ERROR_REFUSED, text);
		return false;
	}
	session->vm_id = hello->job_vm_id;
	if (session->vm_id)
		session->log = &session->vm_log;
	session->tenant = client_tenant_take(session);
	if (!session->tenant) {
		session_tenant_missing(session);
		return false;
	}
	/* What its device has said of a VM holds for its jobs too. */
	if (!session->vm_id || !session->tenant->pool_told)
		session->tenant->pool_told = (uint32_t)mediator->configuration.local_pool;
	session->pool_id = session->tenant->pool_told;
	return true;
}

void session_client_hello(struct session *session, const struct control_message *message)
{
	struct mediator *mediator = session->mediator;
	char label[96];
	char text[VGPU_CONTROL_TEXT_BYTES];
	struct channel_request request;
	enum vgpu_channel_error error;

	if (!identity_take(session, &message->client_hello))
		return;
	session_client_request(session, label, sizeof(label), &request);
	if (!limits_check(session, &request, text)) {
		session_reply(session, VGPU_ERROR_REFUSED, text);
		return;
	}
	if (shared_create(session, &request) < 0) {
		request_descriptors_close(&request);
		snprintf(text, sizeof(text), "the host is out of memory or descriptors: %s", strerror(errno));
		session_reply(session, VGPU_ERROR_NO_MEMORY, text);
		return;
	}
	error = channel_open(mediator, &request, &session->channels[0], text);
	if (error != VGPU_ERROR_NONE) {
		session_reply(session, error, text);
		return;
	}
	session->channels_open = 1;
	session_client_watch(session);
	log_write_limited(&session->log->events, LOG_LEVEL_INFO,
			  "[CONNECTION] New connection: vm_id=%u pool=%c priority=medium %s \"%s\" pid=%d uid=%u",
			  session->vm_id, (char)request.pool_id, session->vm_id ? "job of" : "local program",
			  session->name, (int)session->peer.pid, (unsigned)session->peer.uid);
}
