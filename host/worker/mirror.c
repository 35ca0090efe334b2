/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "mirror_control.h"
#include "pause.h"
#include "wakeup.h"
#include "window_use.h"

#define FRAMES_IN_A_ROW	     16
#define ROUNDS_BETWEEN_LOOKS 256

/*
 * Remembers what the executor may read of the upload window, as the relay does, and what the reply will have filled. A
 * wrong request is the executor's to refuse.
 */
static void use_note(struct mirror *mirror, const uint8_t *record, uint32_t length)
{
	struct window_use use = window_use_of(record, length);
	struct vgpu_record header;

	if (use.uploads)
		mirror->upload_used = use.place + use.bytes;
	else if (use.passes)
		mirror->upload_used = use.place;
	if (!use.downloads || use.place > mirror->download_bytes || use.bytes > mirror->download_bytes - use.place)
		return;
	if (mirror->download_count == MIRROR_DOWNLOADS_MAX) {
		mirror_end(mirror, VGPU_ERROR_PROTOCOL, "the guest has too many downloads at once");
		return;
	}
	memcpy(&header, record, sizeof(header));
	mirror->downloads[mirror->download_count++] =
		(struct mirror_download){.sequence = header.sequence, .offset = use.place, .bytes = use.bytes};
}

static struct mirror_download download_forget(struct mirror *mirror, uint32_t sequence)
{
	for (size_t i = 0; i < mirror->download_count; i++) {
		struct mirror_download found = mirror->downloads[i];

		if (found.sequence != sequence)
			continue;
		mirror->downloads[i] = mirror->downloads[--mirror->download_count];
		return found;
	}
	return (struct mirror_download){0};
}

/* True: at least one is in the ring. */
static bool commands_put(struct mirror *mirror)
{
	struct records_in *in = &mirror->commands_in;
	struct vgpu_record header;
	const uint8_t *record;
	bool progress = false;
	int found;

	while ((found = records_next(in, &header, &record)) > 0) {
		void *place;
		enum ring_status status = ring_reserve(&mirror->commands, header.length, &place);

		if (status == RING_FATAL)
			mirror_end(mirror, VGPU_ERROR_EXECUTOR_ENDED, "the executor broke the command ring");
		mirror->command_waits = status == RING_OK ? 0 : header.length;
		if (status != RING_OK)
			break;
		use_note(mirror, record, header.length);
		memcpy(place, record, header.length);
		if (ring_commit(&mirror->commands))
			wakeup_send(mirror->doorbell);
		records_put(in, header.length);
		progress = true;
	}
	if (found < 0)
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_DIED, "the relay sent a record that is none");
	records_tell(in, mirror->link);
	return progress;
}

/* The guest has returned from the function that was called last. */
static bool returned_take(struct mirror *mirror, const struct link_view *view)
{
	struct link_place place;

	if (view->bytes != sizeof(place) + mirror->function_fetches)
		return false;
	memcpy(&place, view->payload, sizeof(place));
	if (place.value != mirror->functions_called || mirror->functions_returned == mirror->functions_called)
		return false;
	mirror->functions_returned = mirror->functions_called;
	memcpy(mirror->memory + mirror->function_offset, view->payload + sizeof(place), mirror->function_fetches);
	__atomic_store_n(&mirror->header->functions_returned, mirror->functions_called, __ATOMIC_RELEASE);
	return true;
}

static bool upload_put(struct mirror *mirror, const struct link_view *view)
{
	const uint8_t *data;
	uint64_t place, at;
	uint32_t bytes;

	data = view->type == LINK_UPLOAD ? bulk_view(view, &place, &bytes)
					 : bulk_unpack(&mirror->unpacker, view, &place, &bytes);
	if (!data)
		return false;
	at = place % mirror->upload_bytes;
	if (bytes > mirror->upload_bytes - at || place + bytes - mirror->upload_released > mirror->upload_bytes)
		return false;
	memcpy(mirror->memory + mirror->upload_offset + at, data, bytes);
	return true;
}

static bool taken_take(struct mirror *mirror, const struct link_view *view)
{
	struct link_place place;

	if (view->bytes != sizeof(place))
		return false;
	memcpy(&place, view->payload, sizeof(place));
	return records_taken(&mirror->replies_out, place.value);
}

/* Lanes that the relay could not open are none; without any all goes over the link. */
static bool lanes_take(struct mirror *mirror, const struct link_view *view)
{
	struct link_place place;

	if (view->bytes != sizeof(place))
		return false;
	memcpy(&place, view->payload, sizeof(place));
	if (place.value > mirror->lanes.count)
		return false;
	if (place.value == 0) {
		mirror->lanes.count = 0;
		mirror->commands_in.lanes = NULL;
	}
	return true;
}

static void frame_take(struct mirror *mirror, const struct link_view *view)
{
	bool is_valid = true;

	switch (view->type) {
	case LINK_COMMANDS:
		is_valid = records_hold(&mirror->commands_in, view->payload, view->bytes);
		break;
	case LINK_TAKEN:
		is_valid = taken_take(mirror, view);
		break;
	case LINK_PERMIT:
		is_valid = mirror_schedule_take(&mirror->schedule, view);
		break;
	case LINK_UPLOAD:
	case LINK_UPLOAD_PACKED:
		is_valid = upload_put(mirror, view);
		break;
	case LINK_RETURNED:
		is_valid = returned_take(mirror, view);
		break;
	case LINK_LANES:
		is_valid = lanes_take(mirror, view);
		break;
	case LINK_ALIVE:
		break;
	case LINK_CLOSE:
		mirror->is_closing = true;
		break;
	default:
		is_valid = false;
	}
	if (!is_valid)
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_DIED, "the relay sent a frame of type %d that is malformed",
			   view->type);
}

static bool frames_take(struct mirror *mirror)
{
	bool is_lost = !link_fill(mirror->link);
	struct link_view view;
	bool progress = false;
	int found = 0;

	for (int i = 0; i < FRAMES_IN_A_ROW && !mirror->is_over && !mirror->is_closing &&
			(found = link_peek(mirror->link, &view)) > 0;
	     i++) {
		frame_take(mirror, &view);
		link_consume(mirror->link, &view);
		progress = true;
	}
	if (!mirror->is_over && commands_put(mirror))
		progress = true;
	if (found < 0)
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_DIED, "%.140s", mirror->link->reason);
	else if (is_lost && found == 0 && !mirror->is_closing)
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_DIED, "the link was lost: %.100s", mirror->link->reason);
	return progress;
}

static void place_put(struct mirror *mirror, enum link_frame_type type, uint64_t value)
{
	const struct link_place place = {.value = value};

	memcpy(link_put(mirror->link, type, sizeof(place), false), &place, sizeof(place));
}

/* The errors of posted calls; before the replies that came after them. */
static void deferred_send(struct mirror *mirror)
{
	uint64_t *word = &mirror->header->deferred_error;

	if (__atomic_load_n(word, __ATOMIC_RELAXED) && link_room(mirror->link) >= sizeof(struct link_place))
		place_put(mirror, LINK_DEFERRED, __atomic_exchange_n(word, 0, __ATOMIC_ACQ_REL));
}

static bool released_send(struct mirror *mirror)
{
	uint64_t released = __atomic_load_n(&mirror->header->upload_released, __ATOMIC_ACQUIRE);

	if (released == mirror->upload_released || link_room(mirror->link) < sizeof(struct link_place))
		return false;
	/* The relay would not take it, and nobody would know whose fault that is. */
	if (released - mirror->upload_released > mirror->upload_used - mirror->upload_released) {
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_ENDED, "the executor broke the upload window");
		return false;
	}
	mirror->upload_released = released;
	place_put(mirror, LINK_RELEASED, released);
	return true;
}

/* After the replies that came before: the function may read what they brought. */
static bool function_send(struct mirror *mirror)
{
	const struct vgpu_channel_header *header = mirror->header;
	uint32_t called = __atomic_load_n(&header->functions_called, __ATOMIC_ACQUIRE);
	struct link_function function;
	uint32_t delivers;
	uint8_t *payload;

	if (called == mirror->functions_called)
		return false;
	/* One at a time: the guest has returned from the one before. */
	if (called != mirror->functions_called + 1 || mirror->functions_returned != mirror->functions_called) {
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_ENDED, "the executor called host functions out of turn");
		return false;
	}
	function = (struct link_function){
		.function = __atomic_load_n(&header->function, __ATOMIC_RELAXED),
		.status = __atomic_load_n(&header->function_status, __ATOMIC_RELAXED),
		.called = called,
		.use = __atomic_load_n(&header->function_use, __ATOMIC_RELAXED),
		.piece_bytes = __atomic_load_n(&header->function_piece_bytes, __ATOMIC_RELAXED),
		.piece_offset = __atomic_load_n(&header->function_piece_offset, __ATOMIC_RELAXED),
	};
	if (function.piece_bytes > mirror->function_bytes) {
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_ENDED, "the executor named more than the function window");
		return false;
	}
	delivers = function.use == VGPU_FUNCTION_DELIVER ? function.piece_bytes : 0;
	if (link_room(mirror->link) < sizeof(function) + delivers)
		return false;
	mirror->functions_called = called;
	mirror->function_fetches = function.use == VGPU_FUNCTION_FETCH ? function.piece_bytes : 0;
	payload = link_put(mirror->link, LINK_CALLED, (uint32_t)sizeof(function) + delivers, false);
	memcpy(payload, &function, sizeof(function));
	memcpy(payload + sizeof(function), mirror->memory + mirror->function_offset, delivers);
	return true;
}

static bool uses_lanes(const struct mirror *mirror)
{
	return mirror->lanes.count && mirror->held_download.bytes >= LANE_BULK_BYTES;
}

/* True: what the held reply says is filled is in the link's buffer, or the lanes'. */
static bool download_send(struct mirror *mirror)
{
	const struct mirror_download *download = &mirror->held_download;
	bool is_laned = uses_lanes(mirror);
	uint64_t most = is_laned ? LANE_PUT_BYTES : PACKING_PIECE_BYTES;

	while (mirror->held_sent < download->bytes) {
		uint64_t offset = download->offset + mirror->held_sent;
		uint64_t piece = download->bytes - mirror->held_sent;

		if (piece > most)
			piece = most;
		if (is_laned ? !lanes_put(&mirror->lanes, offset, piece)
			     : link_room(mirror->link) < sizeof(struct link_packed) + piece)
			return false;
		if (!is_laned)
			bulk_put(&mirror->packer, mirror->link, LINK_DOWNLOAD, LINK_DOWNLOAD_PACKED, offset,
				 mirror->memory + mirror->download_offset + offset, (uint32_t)piece);
		mirror->held_sent += piece;
	}
	return true;
}

static bool reply_take(struct mirror *mirror)
{
	enum ring_status status = ring_take(&mirror->replies, mirror->record, sizeof(mirror->record));
	struct vgpu_record header;

	if (status == RING_FATAL)
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_ENDED, "the executor broke the reply ring");
	if (status != RING_OK)
		return false;
	memcpy(&header, mirror->record, sizeof(header));
	mirror->held_bytes = header.length;
	mirror->held_sent = 0;
	mirror->held_download = (struct mirror_download){0};
	if (!(header.flags & VGPU_FLAG_EVENT))
		mirror->held_download = download_forget(mirror, header.sequence);
	if (header.context_or_result)
		mirror->held_download.bytes = 0;
	return true;
}

static bool replies_take(struct mirror *mirror)
{
	bool progress = false;

	while (!mirror->is_over && (mirror->held_bytes || reply_take(mirror))) {
		deferred_send(mirror);
		if (!download_send(mirror) ||
		    !records_fit(&mirror->replies_out, mirror->link, mirror->held_bytes, uses_lanes(mirror)))
			break;
		if (uses_lanes(mirror))
			records_await(&mirror->replies_out, mirror->link, LINK_REPLIES, &mirror->lanes);
		records_send(&mirror->replies_out, mirror->link, LINK_REPLIES, mirror->record, mirror->held_bytes);
		mirror->held_bytes = 0;
		progress = true;
	}
	if (progress && ring_producer_waits(&mirror->replies))
		wakeup_send(mirror->doorbell);
	deferred_send(mirror);
	if (!mirror->held_bytes && function_send(mirror))
		progress = true;
	return released_send(mirror) || progress;
}

static void schedule_send(struct mirror *mirror, bool is_alive)
{
	if (!mirror_schedule_send(&mirror->schedule, mirror->link, records_arrived(&mirror->commands_in), is_alive))
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_ENDED, "the executor has charged more than there can be");
}

static void life_check(struct mirror *mirror)
{
	struct link *link = mirror->link;
	uint64_t now = link_now_ms();
	const char *lost = lanes_lost(&mirror->lanes, now, mirror->silence_ms);

	if (lost)
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_DIED, "a lane was lost: %.120s", lost);
	if (now >= link->alive_ms) {
		mirror_counters_send(mirror);
		schedule_send(mirror, true);
		link->alive_ms = now + LINK_ALIVE_MS;
	}
	if (now - link->heard_ms > mirror->silence_ms)
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_DIED, "the relay has been silent for %llu ms",
			   (unsigned long long)(now - link->heard_ms));
}

/* True: there is something to do after all. */
static bool sleep_prepare(struct mirror *mirror)
{
	enum ring_status status;

	if (lanes_sleep_prepare(&mirror->lanes))
		return true;
	if (mirror->command_waits && ring_prepare_wait(&mirror->commands, mirror->command_waits) != RING_FULL)
		return true;
	__atomic_store_n(&mirror->header->upload_waits, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&mirror->header->upload_released, __ATOMIC_ACQUIRE) != mirror->upload_released &&
	    link_room(mirror->link) >= sizeof(struct link_place))
		return true;
	if (mirror->held_bytes)
		return false;
	status = ring_prepare_sleep(&mirror->replies);
	if (status == RING_FATAL)
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_ENDED, "the executor broke the reply ring");
	return status != RING_EMPTY;
}

static void mirror_sleep(struct mirror *mirror, int timeout_ms)
{
	struct pollfd waits[] = {
		{.fd = mirror->link->socket, .events = POLLIN | POLLRDHUP},
		{.fd = mirror->interrupted, .events = POLLIN},
		{.fd = mirror->is_finishing ? -1 : mirror->control, .events = POLLIN | POLLRDHUP},
		{.fd = mirror->schedule.rung, .events = POLLIN},
		{.fd = mirror->accounts, .events = POLLIN},
		{.fd = mirror->log.output, .events = POLLIN},
		{.fd = mirror->lanes.count ? mirror->lanes.bell : -1, .events = POLLIN},
	};

	if (timeout_ms && sleep_prepare(mirror))
		return;
	if (!link_is_flushed(mirror->link))
		waits[0].events |= POLLOUT;
	if (poll(waits, sizeof(waits) / sizeof(waits[0]), timeout_ms) < 0 && errno != EINTR)
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_DIED, "poll: %s", strerror(errno));
	ring_wake(&mirror->replies);
	if (waits[6].revents)
		lanes_wake(&mirror->lanes);
	if (waits[1].revents & POLLIN)
		wakeup_take(mirror->interrupted);
	if (waits[3].revents & POLLIN)
		mirror_schedule_ring(&mirror->schedule);
	if (waits[2].revents)
		mirror_control_take(mirror);
	if (waits[4].revents)
		mirror_answer_take(mirror);
	if (waits[5].revents)
		mirror_log_take(&mirror->log, mirror->link);
}

void mirror_run(struct mirror *mirror)
{
	struct pause pause;
	unsigned rounds = 0;

	pause_open(&pause);
	while (!mirror->is_over && !mirror->is_closing) {
		bool progress = frames_take(mirror);

		if (replies_take(mirror))
			progress = true;
		mirror_finish_look(mirror);
		schedule_send(mirror, false);
		if (!link_flush(mirror->link)) {
			mirror_end(mirror, VGPU_ERROR_EXECUTOR_DIED, "the link was lost: %.100s", mirror->link->reason);
			break;
		}
		if (++rounds % ROUNDS_BETWEEN_LOOKS == 0)
			mirror_sleep(mirror, 0);
		if (progress) {
			pause_reset(&pause);
			continue;
		}
		if (pause_spin(&pause))
			continue;
		life_check(mirror);
		if (!mirror->is_over && link_flush(mirror->link))
			mirror_sleep(mirror, mirror_schedule_timeout(&mirror->schedule, LINK_ALIVE_MS));
	}
}
