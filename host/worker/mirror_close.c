/* SPDX-License-Identifier: Apache-2.0 */
/* How a mirror ends: when it has said all that its executor said, or at once. */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mirror_control.h"

#define LAST_WORDS_MS 1000

static void status_set(struct mirror *mirror, enum vgpu_channel_error error, const char *format, va_list arguments)
{
	/* The first reason counts. */
	if (mirror->status.error)
		return;
	mirror->status.error = error;
	vsnprintf(mirror->status.text, sizeof(mirror->status.text), format, arguments);
}

void mirror_end(struct mirror *mirror, enum vgpu_channel_error error, const char *format, ...)
{
	va_list arguments;

	if (mirror->is_over)
		return;
	mirror->is_over = true;
	va_start(arguments, format);
	status_set(mirror, error, format, arguments);
	va_end(arguments);
}

void mirror_finish(struct mirror *mirror, enum vgpu_channel_error error, const char *format, ...)
{
	va_list arguments;

	if (mirror->is_over || mirror->is_finishing)
		return;
	mirror->is_finishing = true;
	mirror->moved_ms = link_now_ms();
	va_start(arguments, format);
	status_set(mirror, error, format, arguments);
	va_end(arguments);
	/* From now on nobody has the GPU here. */
	if (mirror->schedule.claims)
		mirror_schedule_end(&mirror->schedule);
}

void mirror_finish_look(struct mirror *mirror)
{
	uint64_t moved = mirror->replies_out.sent + mirror->held_sent;
	uint64_t now;

	if (!mirror->is_finishing)
		return;
	now = link_now_ms();
	if (moved != mirror->moved) {
		mirror->moved = moved;
		mirror->moved_ms = now;
	}
	/* All that is in the executor's ring has left for the link, or the guest takes nothing any more. */
	if (!mirror->held_bytes || now - mirror->moved_ms > mirror->silence_ms)
		mirror->is_over = true;
}

void mirror_counters_send(struct mirror *mirror)
{
	struct vgpu_executor_counters counters = *mirror->counters;

	if (link_room(mirror->link) >= sizeof(counters))
		memcpy(link_put(mirror->link, LINK_COUNTERS, sizeof(counters), false), &counters, sizeof(counters));
}

/* False: the link has no room for it now. */
static bool status_put(struct mirror *mirror)
{
	if (!mirror->status.error)
		return true;
	if (link_room(mirror->link) < sizeof(mirror->status))
		return false;
	memcpy(link_put(mirror->link, LINK_STATUS, sizeof(mirror->status), false), &mirror->status,
	       sizeof(mirror->status));
	return true;
}

/* What the relay still sends says nothing any more, but that it is there. False: it has gone. */
static bool relay_is_there(struct mirror *mirror)
{
	struct link *link = mirror->link;
	bool is_lost = !link_flush(link) || !link_fill(link);
	struct link_view view;

	while (link_peek(link, &view) > 0) {
		is_lost |= view.type == LINK_CLOSE;
		link_consume(link, &view);
	}
	return !is_lost && link_now_ms() - link->heard_ms <= mirror->silence_ms;
}

/*
 * The relay, which may have gone, has a short while to take it over a slow network; if it is to deliver what the
 * executor said last, as long as that takes, for the lanes that bring it end with this process. Then it goes. That the
 * executor has ended waits for room too: who has taken it over may have filled the link so that it cannot be said.
 */
static void last_words_send(struct mirror *mirror)
{
	uint64_t end = link_now_ms() + LAST_WORDS_MS;
	bool is_said;

	mirror_counters_send(mirror);
	is_said = status_put(mirror);
	while ((mirror->is_finishing || mirror->status.error == VGPU_ERROR_EXECUTOR_ENDED) && !mirror->is_closing &&
	       relay_is_there(mirror)) {
		struct pollfd wait = {.fd = mirror->link->socket, .events = POLLIN};

		is_said = is_said || status_put(mirror);
		if (!link_is_flushed(mirror->link))
			wait.events |= POLLOUT;
		poll(&wait, 1, LINK_ALIVE_MS);
	}
	while (link_flush(mirror->link) && !link_is_flushed(mirror->link) && link_now_ms() < end) {
		struct pollfd wait = {.fd = mirror->link->socket, .events = POLLOUT};

		poll(&wait, 1, 100);
	}
	SSL_shutdown(mirror->link->ssl);
}

static void exit_await(struct mirror *mirror, uint64_t end_ms)
{
	struct pollfd ended = {.fd = mirror->executor_exit, .events = POLLIN};

	while (mirror_patience(mirror, &ended, end_ms) == 0)
		continue;
}

void mirror_close(struct mirror *mirror)
{
	uint64_t end = link_now_ms() + (mirror->is_closing ? 1000 : 2000);

	if (mirror->control >= 0)
		close(mirror->control);
	mirror->control = -1;
	/* Its end of the control socket is its life; the main process kills what is left when this one ends. */
	if (mirror->executor_exit >= 0)
		exit_await(mirror, end);
	mirror_end_await(mirror, end);
	/* An executor that has failed says why. */
	mirror_log_take(&mirror->log, mirror->link);
	if (mirror->counters)
		last_words_send(mirror);
	else if (mirror->status.error && status_put(mirror) && link_flush(mirror->link))
		SSL_shutdown(mirror->link->ssl);
}
