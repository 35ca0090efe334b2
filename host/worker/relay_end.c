/* SPDX-License-Identifier: Apache-2.0 */
/* Why a relay ends, and when: not before the guest has what its executor said last. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "relay.h"

void relay_fault(struct relay *relay, enum vgpu_channel_error error, const char *format, ...)
{
	va_list arguments;

	if (relay->fault)
		return;
	relay->fault = error;
	va_start(arguments, format);
	vsnprintf(relay->fault_text, sizeof(relay->fault_text), format, arguments);
	va_end(arguments);
}

enum vgpu_channel_error relay_error_admit(uint32_t error, enum vgpu_channel_error otherwise)
{
	bool is_workers = (error > VGPU_ERROR_NONE && error <= VGPU_ERROR_START_TIMEOUT) ||
			  (error >= VGPU_ERROR_HOST_MEMORY && error <= VGPU_ERROR_EXECUTOR_HUNG);

	return is_workers ? (enum vgpu_channel_error)error : otherwise;
}

/* As the worker has said it. */
static void last_tell(struct relay *relay)
{
	relay_fault(relay, (enum vgpu_channel_error)relay->last.error, "worker: %.140s", relay->last.text);
}

void relay_link_lost(struct relay *relay)
{
	if (relay->last.error)
		last_tell(relay);
	relay_fault(relay, VGPU_ERROR_EXECUTOR_DIED, "the link to the worker was lost: %s", relay->link.reason);
}

void relay_last_take(struct relay *relay, const struct link_view *view)
{
	struct link_status *last = &relay->last;

	memcpy(last, view->payload, sizeof(*last));
	last->text[sizeof(last->text) - 1] = '\0';
	last->error = relay_error_admit(last->error, VGPU_ERROR_EXECUTOR_DIED);
	relay->moved_ms = link_now_ms();
}

void relay_last_look(struct relay *relay, bool progress)
{
	uint64_t now = link_now_ms();

	if (!relay->last.error)
		return;
	if (progress)
		relay->moved_ms = now;
	/* What is awaited of the lanes comes, or they are lost. */
	if (!records_are_held(&relay->replies_in) || (relay->reply_waits && now - relay->moved_ms > relay->silence_ms))
		last_tell(relay);
}
