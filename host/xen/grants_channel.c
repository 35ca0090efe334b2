/* SPDX-License-Identifier: Apache-2.0 */
#include "grants_domain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control_socket.h"

static void answer(struct grants_domain *domain, uint32_t guest_port, uint64_t nonce, enum vgpu_channel_state state,
		   enum vgpu_channel_error error, const char *text)
{
	struct vgpu_grants_answer said = {.nonce = nonce, .state = state, .error = error};

	snprintf(said.text, sizeof(said.text), "%s", text);
	grants_store_answer(domain->store, domain->domain, guest_port, &said);
	if (state == VGPU_CHANNEL_FAILED)
		grants_report(domain, "port %u: refused, error %u: %s", guest_port, error, text);
}

static struct grants_channel *channel_find(struct grants_domain *domain, uint32_t guest_port)
{
	for (uint32_t i = 0; i < domain->channel_count; i++)
		if (domain->channels[i].stage != GRANTS_FREE && domain->channels[i].guest_port == guest_port)
			return &domain->channels[i];
	return NULL;
}

static void channel_release(struct grants_channel *channel)
{
	struct grants_domain *domain = channel->domain;
	uint32_t guest_port = channel->guest_port;
	bool is_answer_unread = channel->is_refused && channel->head->guest_lives == VGPU_GRANTS_LIVES;
	struct vgpu_grants_request request;
	bool is_other;

	grants_parts_close(channel);
	channel->stage = GRANTS_FREE;
	if (is_answer_unread)
		is_other = grants_store_request(domain->store, domain->domain, guest_port, &request) ==
				   GRANTS_STORE_REQUEST &&
			   request.nonce != channel->nonce;
	else
		is_other = grants_store_forget(domain->store, domain->domain, guest_port, channel->nonce);
	/* A new process has asked meanwhile, with the port of the one that ended. */
	if (is_other)
		grants_channel_look(domain, guest_port);
}

static void channel_close(struct grants_channel *channel)
{
	if (channel->stage != GRANTS_OPENING && channel->stage != GRANTS_READY)
		return;
	channel->stage = GRANTS_CLOSING;
	grants_link_send(channel->domain, VGPU_CONTROL_CHANNEL_CLOSE, channel);
}

/* Tells a guest that has the channel that it is lost. */
static void loss_tell(struct grants_channel *channel, enum vgpu_channel_error error)
{
	channel->head->lost_error = error;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	channel->head->host_lives = VGPU_GRANTS_GONE;
	xenevtchn_notify(channel->domain->events, channel->port);
}

static void channel_open(struct grants_domain *domain, uint32_t guest_port, const struct vgpu_grants_request *request)
{
	struct grants_channel *channel = NULL;
	const char *problem;

	for (uint32_t i = 0; i < domain->channel_count && !channel; i++)
		if (domain->channels[i].stage == GRANTS_FREE)
			channel = &domain->channels[i];
	if (!channel) {
		answer(domain, guest_port, request->nonce, VGPU_CHANNEL_FAILED, VGPU_ERROR_REFUSED,
		       "every channel of the guest is in use by other processes");
		return;
	}
	channel->domain = domain;
	channel->guest_port = guest_port;
	channel->nonce = request->nonce;
	channel->is_refused = false;
	problem = grants_parts_open(channel, request);
	if (problem) {
		answer(domain, guest_port, request->nonce, VGPU_CHANNEL_FAILED, VGPU_ERROR_PROTOCOL, problem);
		return;
	}
	channel->generation++;
	channel->stage = GRANTS_OPENING;
	grants_link_send(domain, VGPU_CONTROL_CHANNEL_OPEN, channel);
}

void grants_channel_look(struct grants_domain *domain, uint32_t guest_port)
{
	struct vgpu_grants_request request;
	enum grants_store_status status = grants_store_request(domain->store, domain->domain, guest_port, &request);
	struct grants_channel *channel = channel_find(domain, guest_port);

	if (channel) {
		/* Another request waits until this one is given back. */
		if (status != GRANTS_STORE_REQUEST || request.nonce != channel->nonce)
			channel_close(channel);
	} else if (status == GRANTS_STORE_BROKEN) {
		grants_report(domain, "port %u: the request is none", guest_port);
		grants_store_forget(domain->store, domain->domain, guest_port, 0);
	} else if (status == GRANTS_STORE_REQUEST && request.version != VGPU_GRANTS_VERSION) {
		answer(domain, guest_port, request.nonce, VGPU_CHANNEL_FAILED, VGPU_ERROR_VERSION,
		       "the host offers channels of another version");
	} else if (status == GRANTS_STORE_REQUEST && !domain->link.is_accepted) {
		answer(domain, guest_port, request.nonce, VGPU_CHANNEL_FAILED, VGPU_ERROR_NO_MEDIATOR,
		       "the mediator is not running");
	} else if (status == GRANTS_STORE_REQUEST &&
		   (request.instance != domain->instance || request.pages != domain->pages)) {
		answer(domain, guest_port, request.nonce, VGPU_CHANNEL_FAILED, VGPU_ERROR_PROTOCOL,
		       "such a channel is not offered");
	} else if (status == GRANTS_STORE_REQUEST) {
		channel_open(domain, guest_port, &request);
	}
}

static void message_take(struct grants_channel *channel, const struct vgpu_control_channel *message, uint32_t type)
{
	struct grants_domain *domain = channel->domain;
	enum vgpu_channel_error error =
		message->error != VGPU_ERROR_NONE ? (enum vgpu_channel_error)message->error : VGPU_ERROR_EXECUTOR_DIED;

	/* What the host says can cross a close: in CLOSING only the end counts. */
	if (type == VGPU_CONTROL_CHANNEL_CLOSED) {
		if (channel->stage == GRANTS_CLOSING)
			channel_release(channel);
	} else if (type == VGPU_CONTROL_CHANNEL_READY && channel->stage == GRANTS_OPENING) {
		channel->stage = GRANTS_READY;
		channel->head->lost_error = VGPU_ERROR_NONE;
		channel->head->host_lives = VGPU_GRANTS_LIVES;
		answer(domain, channel->guest_port, channel->nonce, VGPU_CHANNEL_READY, VGPU_ERROR_NONE, "");
	} else if (type != VGPU_CONTROL_CHANNEL_READY && channel->stage == GRANTS_OPENING) {
		channel->is_refused = true;
		answer(domain, channel->guest_port, channel->nonce, VGPU_CHANNEL_FAILED, error, message->text);
		channel_close(channel);
	} else if (type == VGPU_CONTROL_CHANNEL_LOST && channel->stage == GRANTS_READY) {
		grants_report(domain, "port %u: lost, error %u: %s", channel->guest_port, error, message->text);
		loss_tell(channel, error);
		channel_close(channel);
	}
}

bool grants_channel_message(struct grants_domain *domain, const struct control_message *message)
{
	const struct vgpu_control_channel *body = &message->channel;
	uint32_t type = message->header.type;
	struct grants_channel *channel;

	if (type != VGPU_CONTROL_CHANNEL_READY && type != VGPU_CONTROL_CHANNEL_FAILED &&
	    type != VGPU_CONTROL_CHANNEL_LOST && type != VGPU_CONTROL_CHANNEL_CLOSED)
		return false;
	if (body->channel >= domain->channel_count)
		return false;
	channel = &domain->channels[body->channel];
	if (channel->stage != GRANTS_FREE && body->generation == channel->generation)
		message_take(channel, body, type);
	return true;
}

void grants_channel_event(struct grants_domain *domain, evtchn_port_t port)
{
	const uint64_t one = 1;

	for (uint32_t i = 0; i < domain->channel_count; i++) {
		struct grants_channel *channel = &domain->channels[i];

		if (channel->stage == GRANTS_FREE || channel->port != port)
			continue;
		if (channel->head->guest_lives != VGPU_GRANTS_LIVES)
			channel_close(channel);
		else if (write(channel->doorbell, &one, sizeof(one)) < 0 && errno != EAGAIN)
			grants_report(domain, "a doorbell is not taken: %s", strerror(errno));
		return;
	}
}

void grants_channels_lose(struct grants_domain *domain)
{
	for (uint32_t i = 0; i < domain->channel_count; i++) {
		struct grants_channel *channel = &domain->channels[i];

		if (channel->stage == GRANTS_FREE)
			continue;
		if (channel->stage == GRANTS_READY)
			loss_tell(channel, VGPU_ERROR_MEDIATOR_LOST);
		channel_release(channel);
	}
}
