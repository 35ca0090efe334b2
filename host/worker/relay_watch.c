/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_watch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "relay_connect.h"
#include "sandbox.h"

static int watch_fail(const char *text)
{
	for (; *text; text++)
		fputc(*text < ' ' || *text > '~' ? '?' : *text, stderr);
	fputc('\n', stderr);
	return 1;
}

/* What a worker says is the mediator's to parse, but nobody's terminal's. False: the mediator is gone. */
static bool text_print(const struct link_view *view)
{
	for (uint32_t i = 0; i < view->bytes; i++) {
		uint8_t character = view->payload[i];

		fputc((character < ' ' && character != '\n') || character > '~' ? '?' : character, stdout);
	}
	return fflush(stdout) == 0;
}

/* 0: go on; else the exit status. */
static int frame_take(const struct link_view *view)
{
	struct link_status status;

	switch (view->type) {
	case LINK_TEXT:
		return text_print(view) ? 0 : 1;
	case LINK_ALIVE:
		return 0;
	case LINK_STATUS:
		if (view->bytes != sizeof(status))
			return watch_fail("the worker's answer is malformed");
		memcpy(&status, view->payload, sizeof(status));
		status.text[sizeof(status.text) - 1] = '\0';
		return status.error ? watch_fail(status.text) : 0;
	default:
		return watch_fail("the worker answers out of turn");
	}
}

static int frames_take(struct link *link)
{
	bool is_lost = !link_fill(link);
	struct link_view view;
	int found;

	while ((found = link_peek(link, &view)) > 0) {
		int code = frame_take(&view);

		link_consume(link, &view);
		if (code)
			return code;
	}
	return found < 0 || is_lost ? watch_fail(link->reason) : 0;
}

static int watch_run(struct link *link, unsigned long silence_ms)
{
	int code = 0;

	while (!code) {
		struct pollfd wait = {.fd = link->socket, .events = POLLIN};
		uint64_t now = link_now_ms();

		if (now >= link->alive_ms && link_room(link) > 0) {
			link_put(link, LINK_ALIVE, 0, false);
			link->alive_ms = now + LINK_ALIVE_MS;
		}
		if (!link_flush(link))
			return watch_fail(link->reason);
		if (!link_is_flushed(link))
			wait.events |= POLLOUT;
		if (poll(&wait, 1, LINK_ALIVE_MS) < 0 && errno != EINTR)
			return watch_fail(strerror(errno));
		code = frames_take(link);
		if (!code && link_now_ms() - link->heard_ms > silence_ms)
			code = watch_fail("the worker is silent");
	}
	return code;
}

int relay_watch(const char *worker, int credentials, unsigned long silence_ms, bool has_sensors)
{
	const struct relay_connect_plan plan = {.worker = worker, .credentials = credentials, .once = true};
	struct link_open open = {.version = LINK_VERSION,
				 .flags = LINK_FLAG_WATCH | (has_sensors ? LINK_FLAG_SENSORS : 0)};
	struct link link = {.socket = -1};
	struct relay_connect_failure failure;
	int error;

	if (!relay_connect(&link, &plan, &failure))
		return watch_fail(failure.text);
	close(credentials);
	error = sandbox_enter();
	if (error)
		return watch_fail(strerror(-error));
	relay_host_name(open.host);
	memcpy(link_put(&link, LINK_OPEN, sizeof(open), false), &open, sizeof(open));
	return watch_run(&link, silence_ms);
}
