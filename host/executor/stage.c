/* SPDX-License-Identifier: Apache-2.0 */
#include "stage.h"

#include <stdlib.h>
#include <string.h>

#include "executor.h"

#define CAPACITY_FIRST (256u << 10)

static CUresult stage_grow(struct stage *stage, size_t needed)
{
	size_t capacity = stage->capacity ? stage->capacity : CAPACITY_FIRST;
	uint8_t *bytes;

	if (needed <= stage->capacity)
		return CUDA_SUCCESS;
	while (capacity < needed)
		capacity *= 2;
	bytes = realloc(stage->bytes, capacity);
	if (!bytes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	stage->bytes = bytes;
	stage->capacity = capacity;
	return CUDA_SUCCESS;
}

/* Where a piece's bytes are; NULL: outside of record or window. */
static const uint8_t *piece_find(struct executor *executor, const struct request *request,
				 const struct vgpu_stage *piece)
{
	uint64_t place;

	switch (piece->source) {
	case 0:
		if (piece->bytes > request->payload_bytes - sizeof(*piece))
			return NULL;
		return (const uint8_t *)(piece + 1);
	case 1:
		if (copy_window_place(executor, piece->window_position, piece->bytes, &place))
			return NULL;
		return executor->channel.upload + place;
	default:
		return NULL;
	}
}

CUresult stage_execute(struct executor *executor, const struct request *request)
{
	struct stage *stage = &executor->stage;
	const struct vgpu_stage *piece = request->payload;
	const uint8_t *bytes;
	CUresult result;

	if (request->payload_bytes < sizeof(*piece))
		return EXECUTE_PROTOCOL;
	bytes = piece_find(executor, request, piece);
	if (!bytes)
		return EXECUTE_PROTOCOL;
	if (piece->offset == 0) {
		managed_image_release(&executor->managed);
		stage->used = 0;
		stage->total = piece->total_bytes;
		stage->result = piece->total_bytes > STAGE_BYTES_MAX ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
	}
	/* After a failure the offsets still have to be consistent. */
	if (piece->total_bytes != stage->total || piece->offset != stage->used ||
	    piece->bytes > stage->total - stage->used)
		return EXECUTE_PROTOCOL;
	result = stage->result;
	if (!result)
		result = stage_grow(stage, stage->used + piece->bytes + 1);
	if (!result)
		memcpy(stage->bytes + stage->used, bytes, piece->bytes);
	stage->used += piece->bytes;
	stage->result = result;
	if (piece->source == 1)
		return copy_window_pass(executor, piece->window_position + piece->bytes);
	return CUDA_SUCCESS;
}

CUresult stage_take(struct stage *stage, uint8_t **ret_bytes)
{
	struct stage taken = *stage;

	*stage = (struct stage){0};
	if (taken.result || !taken.bytes || taken.used != taken.total) {
		free(taken.bytes);
		return taken.result ? taken.result : CUDA_ERROR_INVALID_IMAGE;
	}
	taken.bytes[taken.used] = 0;
	*ret_bytes = taken.bytes;
	return CUDA_SUCCESS;
}

void stage_put_back(struct stage *stage, uint8_t *taken, size_t bytes)
{
	*stage = (struct stage){.bytes = taken, .capacity = bytes + 1, .used = bytes, .total = bytes};
}
