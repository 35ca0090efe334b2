/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_open.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "relay_lanes.h"

/* Opens what lanes the worker offers, while it starts the executor. */
static bool offer_take(struct relay *relay, const struct relay_connect_plan *plan, const struct link_view *view)
{
	struct link_lane offer;

	if (view->bytes != sizeof(offer)) {
		relay_fault(relay, VGPU_ERROR_EXECUTOR_DIED, "the worker answers out of turn");
		return false;
	}
	memcpy(&offer, view->payload, sizeof(offer));
	return relay_lanes_connect(relay, plan, &offer);
}

bool relay_open(struct relay *relay, const struct vgpu_control_executor_start *start,
		const struct relay_connect_plan *plan, int start_ms)
{
	struct link_open open = {
		.version = LINK_VERSION,
		.vm_id = start->vm_id,
		.channel = start->channel,
		.pool_id = start->pool_id,
		.channel_bytes = start->channel_bytes,
		.flags = (relay->packer.context ? LINK_FLAG_PACK : 0) | (start->is_lasting ? LINK_FLAG_LASTING : 0),
		.lanes = relay->lanes_wanted,
		.window_bytes = relay->channel.upload_bytes,
		.process_namespace = start->process_namespace,
	};
	uint64_t end = link_now_ms() + (uint64_t)start_ms;
	struct link_status status;
	struct link_view view;
	int found = 0;

	relay_host_name(open.host);
	snprintf(open.tenant, sizeof(open.tenant), "%.*s", (int)sizeof(start->tenant), start->tenant);
	memcpy(link_put(&relay->link, LINK_OPEN, sizeof(open), false), &open, sizeof(open));
	while (found == 0) {
		struct pollfd waits[] = {{.fd = relay->link.socket, .events = POLLIN},
					 {.fd = relay->control, .events = POLLRDHUP}};
		bool is_lost = !link_flush(&relay->link);

		/* It may have said why before it closed. */
		if (!link_fill(&relay->link))
			is_lost = true;
		found = link_peek(&relay->link, &view);
		if (found < 0 || (found == 0 && is_lost)) {
			relay_fault(relay, VGPU_ERROR_REFUSED, "the worker: %.140s", relay->link.reason);
			return false;
		}
		if (found == 0 && (poll(waits, 2, start_ms) <= 0 || waits[1].revents || link_now_ms() > end)) {
			relay_fault(relay, VGPU_ERROR_START_TIMEOUT, "the worker does not answer");
			return false;
		}
		if (found > 0 && (view.type == LINK_COUNTERS || view.type == LINK_OFFER)) {
			if (view.type == LINK_OFFER && !offer_take(relay, plan, &view))
				return false;
			link_consume(&relay->link, &view);
			found = 0;
		}
	}
	if (view.type != LINK_STATUS || view.bytes != sizeof(status)) {
		relay_fault(relay, VGPU_ERROR_EXECUTOR_DIED, "the worker answers out of turn");
		return false;
	}
	memcpy(&status, view.payload, sizeof(status));
	link_consume(&relay->link, &view);
	status.text[sizeof(status.text) - 1] = '\0';
	if (status.error)
		relay_fault(relay, relay_error_admit(status.error, VGPU_ERROR_REFUSED), "worker: %.140s", status.text);
	return !relay->fault;
}
