/* SPDX-License-Identifier: Apache-2.0 */
#include "grants_domain.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control_socket.h"

/* How long a mediator may take to answer the hello, and how long to leave one alone that refused us. */
#define ANSWER_TICKS  5
#define REFUSED_TICKS 5

/* The same reason is logged once until the next successful connection, not every second. */
__attribute__((format(printf, 2, 3))) static void link_report(struct grants_domain *domain, const char *format, ...)
{
	char text[sizeof(domain->link.reported)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (strcmp(text, domain->link.reported) == 0)
		return;
	memcpy(domain->link.reported, text, sizeof(text));
	grants_report(domain, "%s", text);
}

static void link_close(struct grants_domain *domain)
{
	struct grants_link *link = &domain->link;
	bool was_accepted = link->is_accepted;

	if (link->socket < 0)
		return;
	event_free(link->readable);
	close(link->socket);
	link->socket = -1;
	link->is_accepted = false;
	link->wait_ticks = 0;
	if (was_accepted) {
		grants_store_withdraw(domain->store, domain->domain);
		grants_channels_lose(domain);
	}
}

static bool message_send(struct grants_domain *domain, enum vgpu_control_type type, struct control_message *message)
{
	if (domain->link.socket < 0)
		return false;
	if (control_send(domain->link.socket, type, message) == 0)
		return true;
	link_report(domain, "the mediator does not take messages: %s", strerror(errno));
	/* Its end is noticed by the loop: callers are in the middle of a channel's affairs. */
	shutdown(domain->link.socket, SHUT_RDWR);
	return false;
}

bool grants_link_send(struct grants_domain *domain, enum vgpu_control_type type, const struct grants_channel *channel)
{
	struct control_message message = {
		.channel =
			{
				.channel = (uint32_t)(channel - domain->channels),
				.generation = channel->generation,
			},
	};

	if (type == VGPU_CONTROL_CHANNEL_OPEN) {
		message.channel.xen_frame = (uint32_t)(channel->offset / VGPU_GRANTS_PAGE_BYTES);
		message.fds[0] = channel->doorbell;
		message.fds[1] = channel->interrupt;
		message.fd_count = 2;
	}
	return message_send(domain, type, &message);
}

static bool hello_send(struct grants_domain *domain)
{
	struct control_message message = {
		.device_hello =
			{
				.vm_id = domain->vm_id,
				.pool_id = domain->pool_id,
				.priority = domain->priority,
				.channel_count = domain->channel_count,
				.channel_bytes = (uint64_t)domain->pages * VGPU_GRANTS_PAGE_BYTES,
				.xen_domain = domain->domain,
				.xen_grants = 1,
			},
		.fds = {domain->grants},
		.fd_count = 1,
	};

	memcpy(message.device_hello.vm_uuid, domain->identity.uuid, sizeof(message.device_hello.vm_uuid));
	snprintf(message.device_hello.vm_name, sizeof(message.device_hello.vm_name), "%s", domain->identity.name);
	return message_send(domain, VGPU_CONTROL_DEVICE_HELLO, &message);
}

/* False: the connection is not to be kept. */
static bool reply_take(struct grants_domain *domain, const struct vgpu_control_hello_reply *reply)
{
	struct grants_link *link = &domain->link;
	struct vgpu_grants_offer offer = {.version = VGPU_GRANTS_VERSION, .pages = domain->pages};

	if (link->is_accepted)
		return false;
	if (reply->error != VGPU_ERROR_NONE) {
		link_report(domain, "the mediator refused this guest, error %u: %s", reply->error, reply->text);
		return false;
	}
	if (getrandom(&offer.instance, sizeof(offer.instance), 0) != sizeof(offer.instance))
		return false;
	domain->instance = offer.instance;
	if (!grants_store_offer(domain->store, domain->domain, &offer)) {
		link_report(domain, "the guest has no place of its own in XenStore");
		return false;
	}
	link->is_accepted = true;
	link->reported[0] = '\0';
	link->wait_ticks = 0;
	grants_report(domain, "connected to the mediator as vm_id=%u", domain->vm_id);
	return true;
}

static bool message_take(struct grants_domain *domain, const struct control_message *message)
{
	if (message->header.version >> 16 != VGPU_PROTOCOL_MAJOR)
		return false;
	if (message->header.type == VGPU_CONTROL_HELLO_REPLY)
		return reply_take(domain, &message->hello_reply);
	return domain->link.is_accepted && grants_channel_message(domain, message);
}

static void link_readable(evutil_socket_t socket, short what, void *argument)
{
	struct grants_domain *domain = argument;
	struct control_message message;
	bool is_sane;
	int received;

	(void)what;
	while (domain->link.socket >= 0) {
		received = control_receive(socket, &message);
		if (received < 0 && errno == EAGAIN)
			return;
		if (received <= 0) {
			link_report(domain, "the mediator closed the connection; trying once a second");
			link_close(domain);
			return;
		}
		is_sane = message_take(domain, &message);
		control_message_release(&message);
		if (!is_sane) {
			link_close(domain);
			domain->link.wait_ticks = REFUSED_TICKS;
			return;
		}
	}
}

static void link_connect(struct grants_domain *domain)
{
	struct grants_link *link = &domain->link;
	const char *path = domain->socket_path ? domain->socket_path : VGPU_SOCKET_PATH;
	int socket = control_connect(path);

	if (socket < 0 && !domain->socket_path) {
		path = VGPU_SOCKET_PATH_FALLBACK;
		socket = control_connect_checked(path);
	}
	if (socket < 0 || fcntl(socket, F_SETFL, O_NONBLOCK) < 0) {
		link_report(domain, "no mediator at %s%s: %s; trying once a second",
			    domain->socket_path ? "" : VGPU_SOCKET_PATH " or ", path, strerror(errno));
		if (socket >= 0)
			close(socket);
		return;
	}
	link->readable = event_new(domain->base, socket, EV_READ | EV_PERSIST, link_readable, domain);
	if (!link->readable || event_add(link->readable, NULL) < 0) {
		if (link->readable)
			event_free(link->readable);
		close(socket);
		return;
	}
	link->socket = socket;
	link->wait_ticks = ANSWER_TICKS;
	hello_send(domain);
}

static void link_tick(evutil_socket_t none, short what, void *argument)
{
	struct grants_domain *domain = argument;
	struct grants_link *link = &domain->link;

	(void)none;
	(void)what;
	if (link->wait_ticks > 0)
		link->wait_ticks--;
	if (link->socket >= 0 && !link->is_accepted && link->wait_ticks == 0) {
		link_report(domain, "the mediator does not answer");
		link_close(domain);
	}
	if (link->socket < 0 && link->wait_ticks == 0)
		link_connect(domain);
}

bool grants_link_start(struct grants_domain *domain)
{
	const struct timeval second = {.tv_sec = 1};
	struct event *tick = event_new(domain->base, -1, EV_PERSIST, link_tick, domain);

	domain->link.socket = -1;
	if (!tick || event_add(tick, &second) < 0)
		return false;
	link_connect(domain);
	return true;
}
