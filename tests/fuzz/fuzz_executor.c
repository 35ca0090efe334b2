/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target: any records of a guest, against an executor with objects to attack and the strict driver, which
 * aborts at a handle or address that is not alive. Whatever comes, the executor answers it or ends with a fault that it
 * has told the mediator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "executor_process.h"
#include "executor_records.h"
#include "victim.h"

#define RECORDS_MAX 4096
#define WAIT_MS	    60000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void addresses_fill(uint64_t *words, size_t count, uint64_t address)
{
	for (size_t i = 0; i < count; i++) {
		if ((words[i] & RECORD_ADDRESS_MASK) == RECORD_ADDRESS)
			words[i] = address + (uint32_t)words[i];
	}
}

/* False: the executor takes no more. */
static bool record_post(struct peer *peer, const struct victim *victim, const struct record_head *head,
			const uint64_t *words, size_t count)
{
	const struct victim_shape *shape = &victim_shapes[1 + head->shape % (victim_shape_count - 1)];
	uint32_t number = (head->flags & RECORD_CONTEXT_MASK) >> 1;
	uint32_t context = number ? VGPU_ID(VGPU_KIND_CONTEXT, number) : victim->context;

	/* An executor that waits for room for replies takes no records. */
	peer_replies_drop(peer);
	return victim_descriptor_pass(peer, shape) &&
	       peer_post(peer, shape->opcode, head->flags & RECORD_FLAG_POSTED ? 0 : VGPU_FLAG_REPLY, context, words,
			 count * sizeof(*words));
}

static void records_post(struct peer *peer, const struct victim *victim, const uint8_t *data, size_t bytes)
{
	uint64_t words[UINT8_MAX];
	struct record_head head;

	for (size_t i = 0; i < RECORDS_MAX && bytes >= sizeof(head); i++) {
		size_t payload;

		memcpy(&head, data, sizeof(head));
		data += sizeof(head);
		bytes -= sizeof(head);
		payload = head.words * sizeof(words[0]);
		if (payload > bytes)
			payload = bytes;
		memset(words, 0, sizeof(words));
		memcpy(words, data, payload);
		data += payload;
		bytes -= payload;
		addresses_fill(words, head.words, victim->device_address);
		if (!record_post(peer, victim, &head, words, head.words))
			return;
	}
	/* Ends the channel, if nothing has. */
	peer_post(peer, VGPU_OPCODE_API - 1, 0, 0, NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct peer peer;
	struct victim victim;
	struct peer_end end;

	victim_make(&peer, &victim);
	records_post(&peer, &victim, data, bytes);
	for (unsigned i = 0; i < WAIT_MS && !peer_has_ended(&peer); i++) {
		peer_replies_drop(&peer);
		usleep(1000);
	}
	end = peer_wait(&peer);
	executor_process_covered();
	if (!end.by_signal && end.message == VGPU_CONTROL_EXECUTOR_FAULT && end.error == VGPU_ERROR_PROTOCOL &&
	    end.text[0])
		return 0;
	fprintf(stderr, "the executor ended with %s %d, last message %u (%s)\n", end.by_signal ? "signal" : "status",
		end.status, end.message, end.text);
	abort();
}
