/* SPDX-License-Identifier: Apache-2.0 */
#include "greeting.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define OPEN_MS 5000

/* False: it is none. Of another version only that is looked at. */
static bool greeting_read(const struct link_view *view, struct greeting *ret_greeting)
{
	bool is_lane = view->type == LINK_LANE;
	size_t size = is_lane ? sizeof(ret_greeting->lane) : sizeof(ret_greeting->open);
	uint32_t version;

	*ret_greeting = (struct greeting){.type = view->type};
	if ((view->type != LINK_OPEN && !is_lane) || view->bytes < sizeof(version))
		return false;
	memcpy(&version, view->payload, sizeof(version));
	if (version == LINK_VERSION && view->bytes != size)
		return false;
	memcpy(is_lane ? (void *)&ret_greeting->lane : (void *)&ret_greeting->open, view->payload,
	       view->bytes < size ? view->bytes : size);
	ret_greeting->open.host[sizeof(ret_greeting->open.host) - 1] = '\0';
	ret_greeting->open.tenant[sizeof(ret_greeting->open.tenant) - 1] = '\0';
	return true;
}

bool greeting_receive(struct link *link, struct greeting *ret_greeting)
{
	uint64_t end = link_now_ms() + OPEN_MS;
	struct link_view view;
	int found = 0;

	while (found == 0) {
		struct pollfd wait = {.fd = link->socket, .events = POLLIN};

		if (!link_fill(link) || (found = link_peek(link, &view)) < 0)
			return false;
		if (found == 0 && (link_now_ms() > end || poll(&wait, 1, OPEN_MS) <= 0)) {
			snprintf(link->reason, sizeof(link->reason), "no OPEN in time");
			return false;
		}
	}
	if (!greeting_read(&view, ret_greeting)) {
		snprintf(link->reason, sizeof(link->reason), "the first frame was no OPEN");
		return false;
	}
	link_consume(link, &view);
	return true;
}
