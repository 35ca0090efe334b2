/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "executor.h"
#include "opcode.h"

struct backlog_record {
	struct backlog_record *next;
	uint32_t length;
	uint8_t bytes[];
};

static uint32_t record_length(size_t payload_bytes)
{
	size_t length = sizeof(struct vgpu_record) + payload_bytes;

	return (uint32_t)((length + VGPU_RECORD_ALIGNMENT - 1) & ~(size_t)(VGPU_RECORD_ALIGNMENT - 1));
}

/* 'place' has header->length bytes. */
static void record_write(void *place, const struct vgpu_record *header, const void *payload, size_t payload_bytes)
{
	uint8_t *at = (uint8_t *)place + sizeof(*header);

	memcpy(place, header, sizeof(*header));
	if (payload_bytes)
		memcpy(at, payload, payload_bytes);
	/* No byte of an earlier record is left in the padding. */
	memset(at + payload_bytes, 0, header->length - sizeof(*header) - payload_bytes);
}

static void backlog_add(struct executor *executor, const struct vgpu_record *header, const void *payload,
			size_t payload_bytes)
{
	struct replies *replies = &executor->replies;
	struct backlog_record *record;

	if (replies->backlog_bytes + header->length > REPLY_BACKLOG_BYTES_MAX) {
		executor_fault(executor, VGPU_ERROR_PROTOCOL, "the guest does not read its replies");
		return;
	}
	record = malloc(sizeof(*record) + header->length);
	if (!record) {
		executor_fault(executor, VGPU_ERROR_NO_MEMORY, "no memory for replies that wait");
		return;
	}
	record->next = NULL;
	record->length = header->length;
	record_write(record->bytes, header, payload, payload_bytes);
	if (!replies->first)
		replies->last = &replies->first;
	*replies->last = record;
	replies->last = &record->next;
	replies->backlog_bytes += header->length;
}

/* RING_OK: it is in the ring. */
static enum ring_status ring_put(struct executor *executor, const struct vgpu_record *header, const void *payload,
				 size_t payload_bytes)
{
	void *place;
	enum ring_status status = ring_reserve(&executor->channel.replies, header->length, &place);

	if (status != RING_OK) {
		if (status == RING_FATAL)
			executor_fault(executor, VGPU_ERROR_PROTOCOL, "the reply ring's head is out of range");
		return status;
	}
	record_write(place, header, payload, payload_bytes);
	if (ring_commit(&executor->channel.replies))
		channel_notify(&executor->channel);
	return RING_OK;
}

static void record_send(struct executor *executor, const struct vgpu_record *header, const void *payload,
			size_t payload_bytes)
{
	if (!executor->replies.first && ring_put(executor, header, payload, payload_bytes) != RING_FULL)
		return;
	backlog_add(executor, header, payload, payload_bytes);
}

void reply_send(struct executor *executor, const struct request *request, CUresult result, const void *payload,
		size_t payload_bytes)
{
	struct vgpu_record header = {
		.length = record_length(payload_bytes),
		.opcode = request->opcode,
		.flags = VGPU_FLAG_REPLY,
		.sequence = request->sequence,
		.context_or_result = (uint32_t)result,
	};

	record_send(executor, &header, payload, payload_bytes);
}

void reply_event_send(struct executor *executor, uint16_t opcode, const void *payload, size_t payload_bytes)
{
	struct vgpu_record header = {
		.length = record_length(payload_bytes),
		.opcode = opcode,
		.flags = VGPU_FLAG_EVENT,
	};

	record_send(executor, &header, payload, payload_bytes);
}

bool reply_backlog_flush(struct executor *executor)
{
	struct replies *replies = &executor->replies;

	while (replies->first) {
		struct backlog_record *record = replies->first;
		struct vgpu_record header;

		memcpy(&header, record->bytes, sizeof(header));
		if (ring_put(executor, &header, record->bytes + sizeof(header), record->length - sizeof(header)) !=
		    RING_OK)
			return false;
		replies->first = record->next;
		replies->backlog_bytes -= record->length;
		free(record);
	}
	return true;
}

bool reply_backlog_prepare_wait(struct executor *executor)
{
	return ring_prepare_wait(&executor->channel.replies, executor->replies.first->length) == RING_FULL;
}

void reply_failure_note(struct executor *executor, const struct request *request, CUresult result)
{
	counter_add(&executor->counters->errors, 1);
	gate_fault_note(executor, result);
	if (!(request->flags & VGPU_FLAG_REPLY))
		channel_error_defer(&executor->channel, request->context, result);
	if (log_limit_passes(&executor->replies.failure_limit))
		log_write("%s failed: %s (%d)", opcode_name(request->opcode),
			  driver_error_name(&executor->driver, result), result);
}
