/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "pause.h"
#include "window_use.h"

#define CLOSE_MS	     1500 /* less than the mediator's patience before it kills */
#define FRAMES_IN_A_ROW	     16
#define ROUNDS_BETWEEN_LOOKS 256
#define COUNTER_WORDS	     (sizeof(struct vgpu_executor_counters) / sizeof(uint64_t))

/* As the executor would: in order, within one turn of the window, and in one piece. */
static bool use_is_valid(const struct relay *relay, const struct window_use *use)
{
	uint64_t window_bytes = relay->channel.upload_bytes;

	if (use->passes)
		return use->place - relay->upload_used <= window_bytes &&
		       use->place - relay->upload_released <= window_bytes;
	return !use->uploads || (use->bytes <= window_bytes - use->place % window_bytes &&
				 use->place - relay->upload_used <= window_bytes &&
				 use->place + use->bytes - relay->upload_released <= window_bytes);
}

static bool uses_lanes(const struct relay *relay, const struct window_use *use)
{
	return use->uploads && relay->lanes.count && use->bytes >= LANE_BULK_BYTES;
}

/* Sends on what the held record names in the upload window; true: all of it is in the link's buffer, or the lanes'. */
static bool upload_send(struct relay *relay, const struct window_use *use)
{
	bool is_laned = uses_lanes(relay, use);
	uint64_t most = is_laned ? LANE_PUT_BYTES : PACKING_PIECE_BYTES;

	while (relay->held_sent < use->bytes) {
		uint64_t place = use->place + relay->held_sent;
		uint64_t piece = use->bytes - relay->held_sent;
		uint64_t offset = place % relay->channel.upload_bytes;

		if (piece > most)
			piece = most;
		if (is_laned ? !lanes_put(&relay->lanes, offset, piece)
			     : link_room(&relay->link) < sizeof(struct link_packed) + piece)
			return false;
		if (!is_laned)
			bulk_put(&relay->packer, &relay->link, LINK_UPLOAD, LINK_UPLOAD_PACKED, place,
				 relay->channel.upload + offset, (uint32_t)piece);
		relay->held_sent += piece;
	}
	return true;
}

/* True: the record has left for the link's buffer. */
static bool record_send(struct relay *relay)
{
	struct window_use use = window_use_of(relay->record, relay->held_bytes);
	bool is_laned = uses_lanes(relay, &use);

	if (use.uploads && !upload_send(relay, &use))
		return false;
	if (!records_fit(&relay->commands_out, &relay->link, relay->held_bytes, is_laned))
		return false;
	if (is_laned)
		records_await(&relay->commands_out, &relay->link, LINK_COMMANDS, &relay->lanes);
	records_send(&relay->commands_out, &relay->link, LINK_COMMANDS, relay->record, relay->held_bytes);
	if (use.uploads)
		relay->upload_used = use.place + use.bytes;
	else if (use.passes)
		relay->upload_used = use.place;
	relay->held_bytes = 0;
	relay->held_sent = 0;
	return true;
}

static bool record_take(struct relay *relay)
{
	enum ring_status status = ring_take(&relay->channel.commands, relay->record, sizeof(relay->record));
	struct vgpu_record header;
	struct window_use use;

	if (status == RING_FATAL)
		relay_fault(relay, VGPU_ERROR_PROTOCOL, "the guest broke the command ring");
	if (status != RING_OK)
		return false;
	memcpy(&header, relay->record, sizeof(header));
	use = window_use_of(relay->record, header.length);
	if (!use_is_valid(relay, &use)) {
		relay_fault(relay, VGPU_ERROR_PROTOCOL, "the guest named bytes outside of its upload window");
		return false;
	}
	relay->held_bytes = header.length;
	return true;
}

/* True: something was sent on. */
static bool commands_take(struct relay *relay)
{
	struct ring *commands = &relay->channel.commands;
	bool progress = false;

	while (!relay->fault && (relay->held_bytes || record_take(relay)) && record_send(relay))
		progress = true;
	if (progress)
		relay_schedule_demand(&relay->schedule);
	if (progress && commands->other - commands->own <= commands->bytes / 2 && ring_producer_waits(commands))
		channel_notify(&relay->channel);
	return progress;
}

/* True: at least one is in the guest's ring. */
static bool replies_put(struct relay *relay)
{
	struct records_in *in = &relay->replies_in;
	struct vgpu_record header;
	const uint8_t *record;
	bool progress = false;
	int found;

	while ((found = records_next(in, &header, &record)) > 0) {
		void *place;
		enum ring_status status = ring_reserve(&relay->channel.replies, header.length, &place);

		if (status == RING_FATAL)
			relay_fault(relay, VGPU_ERROR_PROTOCOL, "the reply ring's head is out of range");
		relay->reply_waits = status == RING_OK ? 0 : header.length;
		if (status != RING_OK)
			break;
		memcpy(place, record, header.length);
		if (ring_commit(&relay->channel.replies))
			channel_notify(&relay->channel);
		records_put(in, header.length);
		progress = true;
	}
	if (found < 0)
		relay_fault(relay, VGPU_ERROR_EXECUTOR_DIED, "the worker sent a record that is none");
	records_tell(in, &relay->link);
	return progress;
}

static bool download_put(struct relay *relay, const struct link_view *view)
{
	const uint8_t *data;
	uint64_t place;
	uint32_t bytes;

	data = view->type == LINK_DOWNLOAD ? bulk_view(view, &place, &bytes)
					   : bulk_unpack(&relay->unpacker, view, &place, &bytes);
	if (!data || place > relay->channel.download_bytes || bytes > relay->channel.download_bytes - place)
		return false;
	memcpy(relay->channel.download + place, data, bytes);
	return true;
}

static bool released_take(struct relay *relay, uint64_t position)
{
	if (position - relay->upload_released > relay->upload_used - relay->upload_released)
		return false;
	relay->upload_released = position;
	channel_upload_release(&relay->channel, position);
	return true;
}

/* One at a time: the guest has returned from the one before. */
static bool function_take(struct relay *relay, const struct link_view *view)
{
	struct link_function *function = &relay->function;
	uint32_t delivers;

	if (view->bytes < sizeof(*function))
		return false;
	memcpy(function, view->payload, sizeof(*function));
	delivers = function->use == VGPU_FUNCTION_DELIVER ? function->piece_bytes : 0;
	if (function->called != relay->functions_called + 1 || relay->functions_returned != relay->functions_called ||
	    function->piece_bytes > relay->channel.function_bytes || view->bytes != sizeof(*function) + delivers)
		return false;
	memcpy(relay->channel.function, view->payload + sizeof(*function), delivers);
	relay->functions_called = function->called;
	relay->function_fetches = function->use == VGPU_FUNCTION_FETCH ? function->piece_bytes : 0;
	relay->function_waits = true;
	return true;
}

/* It may read what the replies before it brought. */
static void function_call(struct relay *relay)
{
	const struct link_function *function = &relay->function;

	if (!relay->function_waits || records_are_held(&relay->replies_in))
		return;
	relay->function_waits = false;
	channel_function_call(&relay->channel,
			      &(struct channel_call){
				      .function = function->function,
				      .status = (CUresult)function->status,
				      .use = (enum vgpu_function_use)function->use,
				      .piece_bytes = function->piece_bytes,
				      .piece_offset = function->piece_offset,
			      },
			      function->called);
}

/* True: told the worker that the guest has returned from the function that was called last. */
static bool returned_send(struct relay *relay)
{
	const struct link_place place = {.value = relay->functions_called};
	uint8_t *payload;

	if (relay->functions_returned == relay->functions_called || relay->function_waits ||
	    channel_functions_returned(&relay->channel) != relay->functions_called ||
	    link_room(&relay->link) < sizeof(place) + relay->function_fetches)
		return false;
	payload = link_put(&relay->link, LINK_RETURNED, (uint32_t)sizeof(place) + relay->function_fetches, false);
	memcpy(payload, &place, sizeof(place));
	memcpy(payload + sizeof(place), relay->channel.function, relay->function_fetches);
	relay->functions_returned = relay->functions_called;
	return true;
}

static void counters_take(struct relay *relay, const struct link_view *view)
{
	uint64_t values[COUNTER_WORDS];

	memcpy(values, view->payload, sizeof(values));
	for (size_t i = 0; i < COUNTER_WORDS; i++)
		__atomic_store_n((uint64_t *)(void *)relay->counters + i, values[i], __ATOMIC_RELAXED);
}

/* What the executor there says goes where an executor here would say it; what is no line does not look like one. */
static void text_log(const struct link_view *view)
{
	char line[LINK_LINE_BYTES_MAX + 1];
	size_t bytes = view->bytes && view->payload[view->bytes - 1] == '\n' ? view->bytes - 1 : view->bytes;

	for (size_t i = 0; i < bytes; i++)
		line[i] = view->payload[i] < ' ' || view->payload[i] > '~' ? '?' : (char)view->payload[i];
	line[bytes] = '\0';
	fprintf(stderr, "%s\n", line);
}

static void frame_take(struct relay *relay, const struct link_view *view)
{
	struct link_place place = {0};
	bool is_valid = false;

	if (view->bytes >= sizeof(place))
		memcpy(&place, view->payload, sizeof(place));
	switch (view->type) {
	case LINK_REPLIES:
		is_valid = records_hold(&relay->replies_in, view->payload, view->bytes);
		break;
	case LINK_TAKEN:
		is_valid = view->bytes == sizeof(place) && records_taken(&relay->commands_out, place.value);
		break;
	case LINK_SCHEDULE:
		is_valid = relay_schedule_take(&relay->schedule, view, relay->commands_out.sent);
		break;
	case LINK_DOWNLOAD:
	case LINK_DOWNLOAD_PACKED:
		is_valid = download_put(relay, view);
		break;
	case LINK_RELEASED:
		is_valid = view->bytes == sizeof(place) && released_take(relay, place.value);
		break;
	case LINK_DEFERRED:
		is_valid = view->bytes == sizeof(place);
		if (is_valid)
			channel_error_defer(&relay->channel, (uint32_t)(place.value >> 32),
					    (CUresult)(uint32_t)place.value);
		break;
	case LINK_COUNTERS:
		is_valid = view->bytes == sizeof(*relay->counters);
		if (is_valid)
			counters_take(relay, view);
		break;
	case LINK_CALLED:
		is_valid = function_take(relay, view);
		break;
	case LINK_TEXT:
		is_valid = view->bytes <= LINK_LINE_BYTES_MAX;
		if (is_valid)
			text_log(view);
		break;
	case LINK_STATUS:
		is_valid = view->bytes == sizeof(struct link_status);
		if (is_valid)
			relay_last_take(relay, view);
		break;
	default:
		break;
	}
	if (!is_valid)
		relay_fault(relay, VGPU_ERROR_EXECUTOR_DIED, "the worker sent a frame of type %d that is malformed",
			    view->type);
}

static bool frames_take(struct relay *relay)
{
	bool is_lost = !link_fill(&relay->link);
	struct link_view view;
	bool progress = false;
	int found = 0;

	for (int i = 0; i < FRAMES_IN_A_ROW && !relay->fault && (found = link_peek(&relay->link, &view)) > 0; i++) {
		if (!relay->close_end_ms || view.type == LINK_COUNTERS)
			frame_take(relay, &view);
		link_consume(&relay->link, &view);
		progress = true;
	}
	if (!relay->fault && !relay->close_end_ms) {
		bool has_put = replies_put(relay);

		progress |= has_put;
		function_call(relay);
		relay_last_look(relay, has_put);
	}
	/* What came before the end has been looked at by now. */
	if (found < 0 || (is_lost && found == 0))
		relay_link_lost(relay);
	return progress;
}

/* Says that we are there, and looks whether the worker is. */
static void life_check(struct relay *relay)
{
	struct link *link = &relay->link;
	uint64_t now = link_now_ms();
	const char *lost;

	if (now >= link->alive_ms && link_room(link) > 0) {
		link_put(link, LINK_ALIVE, 0, false);
		link->alive_ms = now + LINK_ALIVE_MS;
	}
	if (now - link->heard_ms > relay->silence_ms)
		relay_fault(relay, VGPU_ERROR_EXECUTOR_DIED, "the worker has been silent for %llu ms",
			    (unsigned long long)(now - link->heard_ms));
	lost = relay->close_end_ms ? NULL : lanes_lost(&relay->lanes, now, relay->silence_ms);
	if (lost)
		relay_fault(relay, VGPU_ERROR_EXECUTOR_DIED, "a lane to the worker was lost: %.120s", lost);
	if (relay->close_end_ms && now >= relay->close_end_ms)
		relay_fault(relay, VGPU_ERROR_EXECUTOR_DIED, "the worker did not end the executor in time");
}

/* True: there is something to do after all. */
static bool sleep_prepare(struct relay *relay)
{
	enum ring_status status;

	if (relay->reply_waits && ring_prepare_wait(&relay->channel.replies, relay->reply_waits) != RING_FULL)
		return true;
	if (relay->held_bytes || relay->close_end_ms)
		return false;
	status = ring_prepare_sleep(&relay->channel.commands);
	if (status == RING_FATAL)
		relay_fault(relay, VGPU_ERROR_PROTOCOL, "the guest broke the command ring");
	return status != RING_EMPTY;
}

static void close_begin(struct relay *relay)
{
	relay->close_end_ms = link_now_ms() + CLOSE_MS;
	relay->reply_waits = 0;
	relay->held_bytes = 0;
	if (link_room(&relay->link) > 0)
		link_put(&relay->link, LINK_CLOSE, 0, false);
}

static void relay_sleep(struct relay *relay)
{
	struct pollfd waits[] = {
		{.fd = relay->link.socket, .events = POLLIN | POLLRDHUP},
		{.fd = relay->channel.doorbell, .events = POLLIN},
		/* Nothing is expected of the mediator but its end. */
		{.fd = relay->close_end_ms ? -1 : relay->control, .events = POLLRDHUP},
		{.fd = relay->schedule.wake, .events = POLLIN},
		{.fd = relay->lanes.count ? relay->lanes.bell : -1, .events = POLLIN},
	};

	if (lanes_sleep_prepare(&relay->lanes) || sleep_prepare(relay))
		return;
	if (!link_is_flushed(&relay->link))
		waits[0].events |= POLLOUT;
	if (poll(waits, sizeof(waits) / sizeof(waits[0]), relay->close_end_ms ? 50 : LINK_ALIVE_MS) < 0 &&
	    errno != EINTR)
		relay_fault(relay, VGPU_ERROR_EXECUTOR_DIED, "poll: %s", strerror(errno));
	ring_wake(&relay->channel.commands);
	if (waits[1].revents & POLLIN)
		channel_doorbell_clear(&relay->channel);
	if (waits[2].revents)
		close_begin(relay);
	if (waits[3].revents)
		relay_schedule_wake(&relay->schedule);
	if (waits[4].revents)
		lanes_wake(&relay->lanes);
}

/* A guest that is never quiet must not keep the relay from seeing what the mediator does. */
static void mediator_look(struct relay *relay)
{
	struct pollfd waits[] = {
		{.fd = relay->control, .events = POLLRDHUP},
		{.fd = relay->schedule.wake, .events = POLLIN},
	};

	if (relay->close_end_ms || poll(waits, sizeof(waits) / sizeof(waits[0]), 0) <= 0)
		return;
	if (waits[0].revents)
		close_begin(relay);
	if (waits[1].revents)
		relay_schedule_wake(&relay->schedule);
}

void relay_run(struct relay *relay)
{
	struct pause pause;
	unsigned rounds = 0;

	pause_open(&pause);
	while (!relay->fault) {
		bool progress = !relay->close_end_ms && commands_take(relay);

		if (!relay->close_end_ms && returned_send(relay))
			progress = true;
		if (!relay->close_end_ms)
			relay_schedule_send(&relay->schedule, &relay->link);
		if (!link_flush(&relay->link)) {
			/* It may have said why before it went. */
			if (frames_take(relay) && !relay->fault)
				continue;
			relay_link_lost(relay);
			break;
		}
		if (frames_take(relay))
			progress = true;
		if (++rounds % ROUNDS_BETWEEN_LOOKS == 0)
			mediator_look(relay);
		if (progress) {
			pause_reset(&pause);
			continue;
		}
		if (pause_spin(&pause))
			continue;
		life_check(relay);
		if (!relay->fault && link_flush(&relay->link))
			relay_sleep(relay);
	}
}
