/* SPDX-License-Identifier: Apache-2.0 */
#include "array_transfer.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "rest.h"
#include "session.h"

/* Pieces on their way down at the same time. */
#define DOWN_DEPTH 8

/* The ring carries no texels, so where a window is stuck there is nothing but to look again. */
static void stuck_pause(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Where the next piece begins. */
struct place {
	size_t column_bytes;
	size_t row;
	size_t slice;
};

/* Whole rows of a slice, or a part of one. */
struct piece {
	struct vgpu_array_rows wire;
	uint8_t *host;
	size_t bytes;
};

/* The largest piece at 'place' of at most 'bytes'; false: not even a texel fits. */
static bool piece_cut(const struct array_transfer *transfer, const struct place *place, size_t bytes,
		      struct piece *ret_piece)
{
	size_t width = transfer->width_bytes - place->column_bytes;
	size_t rows = 1;

	if (width > bytes)
		width = bytes - bytes % transfer->element_bytes;
	else if (place->column_bytes == 0)
		rows = bytes / width;
	if (rows > transfer->rows - place->row)
		rows = transfer->rows - place->row;
	if (rows > UINT32_MAX)
		rows = UINT32_MAX;
	if (width == 0)
		return false;
	ret_piece->wire = (struct vgpu_array_rows){
		.array = transfer->array,
		.stream = transfer->stream,
		.x_bytes = transfer->x_bytes + place->column_bytes,
		.width_bytes = width,
		.y = (uint32_t)(transfer->y + place->row),
		.z = (uint32_t)(transfer->z + place->slice),
		.rows = (uint32_t)rows,
	};
	ret_piece->host = transfer->host + place->slice * transfer->host_slice_bytes +
			  place->row * transfer->host_row_bytes + place->column_bytes;
	ret_piece->bytes = width * rows;
	return true;
}

static void place_advance(const struct array_transfer *transfer, const struct piece *piece, struct place *place)
{
	place->column_bytes += piece->wire.width_bytes;
	if (place->column_bytes < transfer->width_bytes)
		return;
	place->column_bytes = 0;
	place->row += piece->wire.rows;
	if (place->row < transfer->rows)
		return;
	place->row = 0;
	place->slice++;
}

/* Between the program's rows and the window, where rows have no gap between them. */
static void rows_move(const struct array_transfer *transfer, const struct piece *piece, uint8_t *window, bool up)
{
	size_t width = piece->wire.width_bytes;

	for (size_t row = 0; row < piece->wire.rows; row++) {
		uint8_t *host = piece->host + row * transfer->host_row_bytes;

		if (up)
			memcpy(window + row * width, host, width);
		else
			memcpy(host, window + row * width, width);
	}
}

static CUresult piece_up(const struct array_transfer *transfer, struct place *place)
{
	struct vgpu_array_upload wire = {0};
	struct upload_piece taken;
	struct piece piece;
	void *payload;
	size_t wanted = transfer->width_bytes - place->column_bytes;
	CUresult result;

	if (place->column_bytes == 0 && __builtin_mul_overflow(wanted, transfer->rows - place->row, &wanted))
		wanted = SIZE_MAX;
	switch (upload_take(&session.upload, wanted, &taken)) {
	case UPLOAD_TAKEN:
		break;
	case UPLOAD_STUCK:
		stuck_pause();
		return CUDA_SUCCESS;
	default:
		return channel_lost_result(session.channel);
	}
	if (!piece_cut(transfer, place, taken.bytes, &piece)) {
		/* The window's last bytes: the next piece begins at its start, and passes these by. */
		upload_turn(&session.upload, &taken);
		upload_done(&session.upload, &taken);
		return CUDA_SUCCESS;
	}
	upload_shrink(&session.upload, &taken, piece.bytes);
	rows_move(transfer, &piece, taken.room, true);
	wire.rows = piece.wire;
	wire.window_position = taken.position;
	upload_turn(&session.upload, &taken);
	result = channel_begin(session.channel, VGPU_OPCODE_ARRAY_UPLOAD, transfer->context, sizeof(wire), NULL,
			       &payload);
	if (!result) {
		memcpy(payload, &wire, sizeof(wire));
		rest_commit_copy(transfer->context, transfer->stream);
	}
	upload_done(&session.upload, &taken);
	place_advance(transfer, &piece, place);
	return result;
}

CUresult array_transfer_up(const struct array_transfer *transfer)
{
	struct place place = {0};
	/* As in transfer.c, whatever the size. */
	CUresult result = rest_stream_await(transfer->context, transfer->stream);

	while (place.slice < transfer->slices && !result)
		result = piece_up(transfer, &place);
	return result;
}

/* A piece on its way down, with its slot of the window. */
struct flight {
	struct channel_waiter waiter;
	struct piece piece;
	uint64_t offset;
};

struct down {
	const struct array_transfer *transfer;
	struct place place;
	struct flight flights[DOWN_DEPTH];
	uint32_t issued;
	uint32_t finished;
};

/* Issues the next piece; *ret_issued false: no slot is free just now. */
static CUresult flight_begin(struct down *down, bool *ret_issued)
{
	struct flight *flight = &down->flights[down->issued % DOWN_DEPTH];
	struct vgpu_array_download wire = {0};
	/* Who holds a slot does not wait for another one. */
	int64_t offset = download_take(&session.download, down->issued == down->finished);
	void *payload;
	CUresult result;

	*ret_issued = false;
	if (offset < 0) {
		if (down->issued == down->finished)
			stuck_pause();
		return CUDA_SUCCESS;
	}
	flight->offset = (uint64_t)offset;
	flight->waiter = (struct channel_waiter){0};
	/* A slot is larger than any texel. */
	result = piece_cut(down->transfer, &down->place, session.download.slot_bytes, &flight->piece)
			 ? CUDA_SUCCESS
			 : CUDA_ERROR_INVALID_VALUE;
	if (!result) {
		wire.rows = flight->piece.wire;
		wire.window_offset = flight->offset;
		result = channel_begin(session.channel, VGPU_OPCODE_ARRAY_DOWNLOAD, down->transfer->context,
				       sizeof(wire), &flight->waiter, &payload);
	}
	if (result) {
		download_give(&session.download, flight->offset);
		return result;
	}
	memcpy(payload, &wire, sizeof(wire));
	rest_commit_copy(down->transfer->context, down->transfer->stream);
	place_advance(down->transfer, &flight->piece, &down->place);
	down->issued++;
	*ret_issued = true;
	return CUDA_SUCCESS;
}

static CUresult flight_end(struct down *down)
{
	struct flight *flight = &down->flights[down->finished++ % DOWN_DEPTH];
	CUresult result = channel_await(session.channel, &flight->waiter);

	if (!result)
		rows_move(down->transfer, &flight->piece, session.channel->download + flight->offset, false);
	download_give(&session.download, flight->offset);
	return result;
}

CUresult array_transfer_down(const struct array_transfer *transfer)
{
	struct down down = {.transfer = transfer};
	CUresult result = rest_stream_await(transfer->context, transfer->stream);

	while (down.issued != down.finished || (!result && down.place.slice < transfer->slices)) {
		bool issued = false;
		CUresult finished;

		if (!result && down.place.slice < transfer->slices && down.issued - down.finished < DOWN_DEPTH)
			result = flight_begin(&down, &issued);
		if (issued || down.issued == down.finished)
			continue;
		finished = flight_end(&down);
		if (!result)
			result = finished;
	}
	if (!result)
		result = channel_take_deferred(session.channel, transfer->context);
	return result;
}
