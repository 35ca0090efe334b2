/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer.h"

#include <string.h>

#include "bulk_copy.h"
#include "copy_helper.h"
#include "rest.h"
#include "session.h"

/* A copy through the ring costs less than a place in the window up to about here. */
#define INLINE_UP_BYTES_MAX   8192u
#define INLINE_DOWN_BYTES_MAX 16384u

/* The most that the ring carries at a time, where a window is stuck. */
#define INLINE_BYTES_STUCK (60u << 10)

/*
 * What is longer waits for its stream before anything of it is in a window or given to the driver, as natively: in a
 * stream that waits for something else it would hold up others' copies meanwhile.
 */
#define PROMPT_BYTES_MAX (256u << 10)

/* Pieces on their way down at the same time. */
#define DOWN_DEPTH 8

/* What is smaller is there before a second thread would have begun to pay. */
#define HALVES_BYTES_MIN (32u << 20)
#define HALF_ALIGNMENT	 (2u << 20)
#define SHARED_BYTES_MIN (8u << 20)
/* From here on the program's memory does not come from the processor's nearest caches. */
#define FAR_BYTES_MIN (2u << 20)

/* Rows that follow each other without a gap are one row. */
static struct transfer transfer_flatten(const struct transfer *transfer)
{
	struct transfer flat = *transfer;
	size_t bytes;

	if (flat.device_pitch == flat.width && flat.host_pitch == flat.width &&
	    !__builtin_mul_overflow(flat.width, flat.height, &bytes)) {
		flat.width = bytes;
		flat.height = 1;
	}
	return flat;
}

static CUresult inline_up(const struct transfer *transfer, uint64_t to, const uint8_t *from, size_t bytes)
{
	struct vgpu_upload_inline *wire;
	void *payload;
	CUresult result;

	result = channel_begin(session.channel, VGPU_OPCODE_UPLOAD_INLINE, transfer->context, sizeof(*wire) + bytes,
			       NULL, &payload);
	if (result)
		return result;
	wire = payload;
	*wire = (struct vgpu_upload_inline){
		.destination = to,
		.bytes = (uint32_t)bytes,
		.stream = transfer->stream,
	};
	memcpy(wire + 1, from, bytes);
	rest_commit_copy(transfer->context, transfer->stream);
	return CUDA_SUCCESS;
}

/* Bytes on their way up that follow each other. */
struct up_piece {
	const uint8_t *from;
	uint64_t to;
	size_t bytes;
	bool is_far;
};

static CUresult window_up(const struct transfer *transfer, const struct up_piece *up, size_t *ret_sent)
{
	struct vgpu_upload upload = {.destination = up->to, .stream = transfer->stream};
	struct upload_piece piece;
	void *payload;
	CUresult result;

	switch (upload_take(&session.upload, up->bytes, &piece)) {
	case UPLOAD_TAKEN:
		break;
	case UPLOAD_STUCK:
		*ret_sent = up->bytes < INLINE_BYTES_STUCK ? up->bytes : INLINE_BYTES_STUCK;
		return inline_up(transfer, up->to, up->from, *ret_sent);
	default:
		return channel_lost_result(session.channel);
	}
	/* Not past the cache: the device reads it from there. */
	if (up->is_far)
		bulk_copy_near(piece.room, up->from, piece.bytes);
	else
		memcpy(piece.room, up->from, piece.bytes);
	upload.window_position = piece.position;
	upload.bytes = piece.bytes;
	upload_turn(&session.upload, &piece);
	result = channel_begin(session.channel, VGPU_OPCODE_UPLOAD, transfer->context, sizeof(upload), NULL, &payload);
	if (!result) {
		memcpy(payload, &upload, sizeof(upload));
		rest_commit_copy(transfer->context, transfer->stream);
	}
	upload_done(&session.upload, &piece);
	*ret_sent = piece.bytes;
	return result;
}

static CUresult row_up(const struct transfer *transfer, struct up_piece row)
{
	CUresult result = CUDA_SUCCESS;

	if (row.bytes <= INLINE_UP_BYTES_MAX)
		return inline_up(transfer, row.to, row.from, row.bytes);
	while (row.bytes && !result) {
		size_t sent = 0;

		result = window_up(transfer, &row, &sent);
		row.to += sent;
		row.from += sent;
		row.bytes -= sent;
	}
	return result;
}

/* One row, of which several threads take one part after the other. */
struct shared_row {
	const struct transfer *transfer;
	size_t taken; /* so much of it is somebody's */
	CUresult helper_result;
};

static CUresult parts_up(struct shared_row *row)
{
	const struct transfer *transfer = row->transfer;
	size_t part = session.upload.piece_bytes;
	CUresult result = CUDA_SUCCESS;
	size_t at;

	while (!result && (at = __atomic_fetch_add(&row->taken, part, __ATOMIC_RELAXED)) < transfer->width) {
		size_t left = transfer->width - at;

		result = row_up(transfer, (struct up_piece){.from = transfer->host + at,
							    .to = transfer->device + at,
							    .bytes = left < part ? left : part,
							    .is_far = true});
	}
	/* Nobody goes on behind an error. */
	if (result)
		__atomic_store_n(&row->taken, transfer->width, __ATOMIC_RELAXED);
	return result;
}

static void *parts_help(void *argument)
{
	struct shared_row *row = argument;

	row->helper_result = parts_up(row);
	return NULL;
}

static CUresult shared_up(const struct transfer *transfer)
{
	struct shared_row row = {.transfer = transfer};
	struct copy_helper helper;
	bool is_helped = copy_helper_start(&helper, parts_help, &row);
	CUresult result = parts_up(&row);

	if (is_helped) {
		copy_helper_join(&helper);
		channel_print_rest(&session.channel->prints);
	}
	return result ? result : row.helper_result;
}

CUresult transfer_await(const struct transfer *transfer, size_t bytes)
{
	/* More than the window has room for cannot be taken at once. */
	size_t prompt_bytes = transfer->is_prompt ? session.upload.bytes : PROMPT_BYTES_MAX;

	return bytes > prompt_bytes && !transfer->is_alone ? rest_stream_await(transfer->context, transfer->stream)
							   : CUDA_SUCCESS;
}

static size_t transfer_bytes(const struct transfer *transfer)
{
	size_t bytes;

	return __builtin_mul_overflow(transfer->width, transfer->height, &bytes) ? SIZE_MAX : bytes;
}

CUresult transfer_up(const struct transfer *transfer)
{
	struct transfer flat = transfer_flatten(transfer);
	CUresult result = transfer_await(&flat, transfer_bytes(&flat));

	if (result)
		return result;
	if (flat.height == 1 && flat.width >= SHARED_BYTES_MIN)
		return shared_up(&flat);
	for (size_t row = 0; row < flat.height && flat.width && !result; row++)
		result = row_up(&flat, (struct up_piece){.from = flat.host + row * flat.host_pitch,
							 .to = flat.device + row * flat.device_pitch,
							 .bytes = flat.width,
							 .is_far = flat.width >= FAR_BYTES_MIN});
	return result;
}

/* A piece on its way: with a slot of the window, or inline, straight to its place. */
struct down_piece {
	struct channel_waiter waiter;
	uint8_t *to;
	size_t bytes;
	int64_t slot; /* offset, -1: inline */
};

struct down {
	const struct transfer *transfer;
	size_t row; /* of the next piece */
	size_t column;
	struct down_piece pieces[DOWN_DEPTH];
	uint32_t depth; /* as many of them at the same time */
	uint32_t issued;
	uint32_t finished;
};

static CUresult inline_down(struct down *down, struct down_piece *piece, uint64_t from)
{
	struct vgpu_download_inline wire = {
		.source = from,
		.bytes = (uint32_t)piece->bytes,
		.stream = down->transfer->stream,
	};
	void *payload;
	CUresult result;

	piece->slot = -1;
	piece->waiter = (struct channel_waiter){.reply = piece->to, .capacity = piece->bytes};
	result = channel_begin(session.channel, VGPU_OPCODE_DOWNLOAD_INLINE, down->transfer->context, sizeof(wire),
			       &piece->waiter, &payload);
	if (result)
		return result;
	memcpy(payload, &wire, sizeof(wire));
	rest_commit_copy(down->transfer->context, down->transfer->stream);
	return CUDA_SUCCESS;
}

static CUresult window_down(struct down *down, struct down_piece *piece, uint64_t from)
{
	struct vgpu_download wire = {
		.source = from,
		.bytes = piece->bytes,
		.window_offset = (uint64_t)piece->slot,
		.stream = down->transfer->stream,
	};
	void *payload;
	CUresult result;

	piece->waiter = (struct channel_waiter){0};
	result = channel_begin(session.channel, VGPU_OPCODE_DOWNLOAD, down->transfer->context, sizeof(wire),
			       &piece->waiter, &payload);
	if (result) {
		download_give(&session.download, wire.window_offset);
		return result;
	}
	memcpy(payload, &wire, sizeof(wire));
	rest_commit_copy(down->transfer->context, down->transfer->stream);
	return CUDA_SUCCESS;
}

/* Issues the next piece; *ret_issued false: no slot is free just now. */
static CUresult piece_issue(struct down *down, bool *ret_issued)
{
	const struct transfer *transfer = down->transfer;
	struct down_piece *piece = &down->pieces[down->issued % DOWN_DEPTH];
	uint64_t from = transfer->device + down->row * transfer->device_pitch + down->column;
	CUresult result;

	piece->to = transfer->host + down->row * transfer->host_pitch + down->column;
	piece->bytes = transfer->width - down->column;
	*ret_issued = false;
	if (piece->bytes <= INLINE_DOWN_BYTES_MAX) {
		result = inline_down(down, piece, from);
	} else {
		if (piece->bytes > session.download.slot_bytes)
			piece->bytes = session.download.slot_bytes;
		/* Who holds a slot does not wait for another one. */
		piece->slot = download_take(&session.download, down->issued == down->finished);
		if (piece->slot >= 0) {
			result = window_down(down, piece, from);
		} else if (down->issued == down->finished) {
			if (piece->bytes > INLINE_BYTES_STUCK)
				piece->bytes = INLINE_BYTES_STUCK;
			result = inline_down(down, piece, from);
		} else {
			return CUDA_SUCCESS;
		}
	}
	if (result)
		return result;
	down->issued++;
	*ret_issued = true;
	down->column += piece->bytes;
	if (down->column == transfer->width) {
		down->column = 0;
		down->row++;
	}
	return CUDA_SUCCESS;
}

static CUresult piece_finish(struct down *down)
{
	struct down_piece *piece = &down->pieces[down->finished++ % DOWN_DEPTH];
	CUresult result = channel_await(session.channel, &piece->waiter);

	if (piece->slot >= 0) {
		if (!result)
			bulk_copy(piece->to, session.channel->download + piece->slot, piece->bytes);
		download_give(&session.download, (uint64_t)piece->slot);
	} else if (!result && piece->waiter.bytes < piece->bytes) {
		result = CUDA_ERROR_UNKNOWN;
	}
	return result;
}

static CUresult pieces_down(const struct transfer *transfer, uint32_t depth)
{
	struct down down = {.transfer = transfer, .depth = depth};
	CUresult result = CUDA_SUCCESS;

	while (down.issued != down.finished || (!result && down.row < transfer->height)) {
		bool issued = false;
		CUresult finished;

		if (!result && down.row < transfer->height && down.issued - down.finished < down.depth)
			result = piece_issue(&down, &issued);
		if (issued || down.issued == down.finished)
			continue;
		finished = piece_finish(&down);
		if (!result)
			result = finished;
	}
	return result;
}

/* The half of a transfer that another thread copies. */
struct half {
	struct transfer transfer;
	uint32_t depth;
	CUresult result;
};

static void *half_down(void *argument)
{
	struct half *half = argument;

	half->result = pieces_down(&half->transfer, half->depth);
	return NULL;
}

/* One thread copies half as fast as the device sends. */
static CUresult halves_down(const struct transfer *transfer)
{
	struct transfer first = *transfer;
	/* Each gets half of the window, too: the first would take all of it before the second has begun. */
	uint32_t slots = session.download.slot_count < DOWN_DEPTH ? session.download.slot_count : DOWN_DEPTH;
	struct half second = {.transfer = *transfer, .depth = slots > 1 ? slots / 2 : 1};
	struct copy_helper helper;
	CUresult result;

	first.width = transfer->width / 2 & ~(size_t)(HALF_ALIGNMENT - 1);
	second.transfer.device += first.width;
	second.transfer.host += first.width;
	second.transfer.width -= first.width;
	if (!copy_helper_start(&helper, half_down, &second))
		return pieces_down(transfer, DOWN_DEPTH);
	result = pieces_down(&first, second.depth);
	copy_helper_join(&helper);
	channel_print_rest(&session.channel->prints);
	return result ? result : second.result;
}

CUresult transfer_down_own(const struct transfer *transfer)
{
	struct transfer flat = transfer_flatten(transfer);
	CUresult result;

	if (flat.width == 0)
		return CUDA_SUCCESS;
	result = transfer_await(&flat, transfer_bytes(&flat));
	if (result)
		return result;
	result = flat.height == 1 && flat.width >= HALVES_BYTES_MIN ? halves_down(&flat)
								    : pieces_down(&flat, DOWN_DEPTH);
	return result;
}

CUresult transfer_down(const struct transfer *transfer)
{
	CUresult result = transfer_down_own(transfer);

	if (!result && transfer->width)
		result = channel_take_deferred(session.channel, transfer->context);
	return result;
}
