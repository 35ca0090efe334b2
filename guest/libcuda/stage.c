/* SPDX-License-Identifier: Apache-2.0 */
#include "stage.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mirror.h"
#include "session.h"

/* What is smaller goes in the record itself. */
#define INLINE_BYTES_MAX 8192u
/* The most that the ring carries at a time, where the window is stuck. */
#define INLINE_BYTES_STUCK (60u << 10)

static pthread_mutex_t stage_mutex = PTHREAD_MUTEX_INITIALIZER;

struct stage_writer {
	uint64_t total_bytes;
	uint64_t offset;
};

static uint64_t padded(uint64_t bytes)
{
	return (bytes + 7) & ~7ull;
}

static CUresult inline_place(struct stage_writer *writer, const void *data, size_t bytes)
{
	struct vgpu_stage stage = {
		.total_bytes = writer->total_bytes,
		.offset = writer->offset,
		.bytes = (uint32_t)bytes,
	};
	void *payload;
	CUresult result;

	result = channel_begin(session.channel, VGPU_OPCODE_STAGE, 0, sizeof(stage) + bytes, NULL, &payload);
	if (result)
		return result;
	memcpy(payload, &stage, sizeof(stage));
	memcpy((uint8_t *)payload + sizeof(stage), data, bytes);
	channel_commit_copy(session.channel);
	writer->offset += bytes;
	return CUDA_SUCCESS;
}

/* Mirrored memory is not to be touched while a record is written: the thread that brings it needs the ring. */
static CUresult inline_send(struct stage_writer *writer, const void *data, size_t bytes)
{
	CUresult result;
	void *copy;

	if (!mirrors_exist())
		return inline_place(writer, data, bytes);
	copy = malloc(bytes);
	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(copy, data, bytes);
	result = inline_place(writer, copy, bytes);
	free(copy);
	return result;
}

static CUresult window_send(struct stage_writer *writer, const uint8_t *data, size_t bytes, size_t *ret_sent)
{
	struct vgpu_stage stage = {
		.total_bytes = writer->total_bytes,
		.offset = writer->offset,
		.source = 1,
	};
	struct upload_piece piece;
	void *payload;
	CUresult result;

	switch (upload_take(&session.upload, bytes, &piece)) {
	case UPLOAD_TAKEN:
		break;
	case UPLOAD_STUCK:
		*ret_sent = bytes < INLINE_BYTES_STUCK ? bytes : INLINE_BYTES_STUCK;
		return inline_send(writer, data, *ret_sent);
	default:
		return channel_lost_result(session.channel);
	}
	memcpy(piece.room, data, piece.bytes);
	stage.window_position = piece.position;
	stage.bytes = (uint32_t)piece.bytes;
	upload_turn(&session.upload, &piece);
	result = channel_begin(session.channel, VGPU_OPCODE_STAGE, 0, sizeof(stage), NULL, &payload);
	if (!result) {
		memcpy(payload, &stage, sizeof(stage));
		channel_commit_copy(session.channel);
	}
	upload_done(&session.upload, &piece);
	writer->offset += piece.bytes;
	*ret_sent = piece.bytes;
	return result;
}

static CUresult windows_send(struct stage_writer *writer, const uint8_t *from, size_t bytes)
{
	CUresult result = CUDA_SUCCESS;

	while (bytes && !result) {
		size_t sent = 0;

		result = window_send(writer, from, bytes, &sent);
		from += sent;
		bytes -= sent;
	}
	return result;
}

/*
 * Nor while it has a place in the window: who has the lock of the mirrors may wait for the next one to be posted, and
 * the thread that brings it for the lock.
 */
static CUresult windows_send_copied(struct stage_writer *writer, const uint8_t *from, size_t bytes)
{
	size_t room = bytes < session.upload.piece_bytes ? bytes : session.upload.piece_bytes;
	uint8_t *copy = malloc(room);
	CUresult result = copy ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

	while (bytes && !result) {
		size_t part = bytes < room ? bytes : room;

		memcpy(copy, from, part);
		result = windows_send(writer, copy, part);
		from += part;
		bytes -= part;
	}
	free(copy);
	return result;
}

static CUresult stage_write(struct stage_writer *writer, const void *data, size_t bytes)
{
	if (bytes <= INLINE_BYTES_MAX)
		return bytes ? inline_send(writer, data, bytes) : CUDA_SUCCESS;
	return mirrors_exist() ? windows_send_copied(writer, data, bytes) : windows_send(writer, data, bytes);
}

static CUresult piece_write(struct stage_writer *writer, const struct image_piece *piece)
{
	CUresult result = CUDA_SUCCESS;

	if (!piece->spans)
		return stage_write(writer, piece->data, piece->bytes);
	for (size_t i = 0; i < piece->span_count && !result; i++)
		result = stage_write(writer, piece->spans[i].data, piece->spans[i].bytes);
	return result;
}

CUresult stage_begin(const struct image *image)
{
	static const uint8_t zeros[8];
	const struct image_piece *pieces = image->pieces ? image->pieces : &image->single;
	struct stage_writer writer = {0};
	CUresult result = CUDA_SUCCESS;

	for (size_t i = 0; i < image->piece_count; i++)
		writer.total_bytes += sizeof(uint64_t) + padded(pieces[i].bytes);
	pthread_mutex_lock(&stage_mutex);
	for (size_t i = 0; i < image->piece_count && !result; i++) {
		uint64_t bytes = pieces[i].bytes;

		result = stage_write(&writer, &bytes, sizeof(bytes));
		if (!result)
			result = piece_write(&writer, &pieces[i]);
		if (!result)
			result = stage_write(&writer, zeros, (size_t)(padded(bytes) - bytes));
	}
	return result;
}

void stage_end(void)
{
	pthread_mutex_unlock(&stage_mutex);
}
