/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include <string.h>

bool records_fit(const struct records_out *out, const struct link *link, uint32_t bytes, bool has_await)
{
	/* Each may need a frame of its own. */
	size_t room = bytes + (has_await ? RECORDS_AWAIT_BYTES + sizeof(struct link_frame) : 0);

	return link_room(link) >= room && out->sent - out->taken + room <= RECORDS_WINDOW_BYTES;
}

void records_send(struct records_out *out, struct link *link, enum link_frame_type type, const void *record,
		  uint32_t bytes)
{
	memcpy(link_put(link, type, bytes, true), record, bytes);
	out->sent += bytes;
}

void records_await(struct records_out *out, struct link *link, enum link_frame_type type, const struct lanes *lanes)
{
	const struct {
		struct vgpu_record header;
		uint64_t made;
	} await = {.header = {.length = sizeof(await), .opcode = VGPU_OPCODE_PAD}, .made = lanes->page->made};

	_Static_assert(sizeof(await) == RECORDS_AWAIT_BYTES, "without padding");
	records_send(out, link, type, &await, sizeof(await));
}

bool records_taken(struct records_out *out, uint64_t taken)
{
	if (taken - out->taken > out->sent - out->taken)
		return false;
	out->taken = taken;
	return true;
}

bool records_hold(struct records_in *in, const uint8_t *records, uint32_t bytes)
{
	uint32_t held = in->end - in->begin;

	if (bytes > RECORDS_WINDOW_BYTES - held)
		return false;
	if (bytes > RECORDS_WINDOW_BYTES - in->end) {
		memmove(in->bytes, in->bytes + in->begin, held);
		in->begin = 0;
		in->end = held;
	}
	memcpy(in->bytes + in->end, records, bytes);
	in->end += bytes;
	return true;
}

/* 1: what it awaits is there, 0: not yet, -1: it is malformed. */
static int await_look(const struct records_in *in, const struct vgpu_record *header)
{
	uint64_t wanted;
	uint64_t complete;

	if (!in->lanes || header->length != RECORDS_AWAIT_BYTES)
		return -1;
	memcpy(&wanted, in->bytes + in->begin + sizeof(*header), sizeof(wanted));
	complete = lanes_complete(in->lanes);
	/* Some time ago, or no more than can be on the way. */
	if (wanted > complete && wanted - complete > LANES_AHEAD)
		return -1;
	in->lanes->awaited = wanted;
	return wanted <= complete;
}

int records_next(struct records_in *in, struct vgpu_record *ret_header, const uint8_t **ret_record)
{
	for (;;) {
		uint32_t left = in->end - in->begin;
		int found;

		if (left == 0)
			return 0;
		if (left < sizeof(*ret_header))
			return -1;
		memcpy(ret_header, in->bytes + in->begin, sizeof(*ret_header));
		if (ret_header->length < sizeof(*ret_header) || ret_header->length > left ||
		    ret_header->length > VGPU_RECORD_BYTES_MAX || ret_header->length % VGPU_RECORD_ALIGNMENT)
			return -1;
		*ret_record = in->bytes + in->begin;
		if (ret_header->opcode != VGPU_OPCODE_PAD)
			return 1;
		found = await_look(in, ret_header);
		if (found <= 0)
			return found;
		records_put(in, ret_header->length);
	}
}

void records_put(struct records_in *in, uint32_t bytes)
{
	in->begin += bytes;
	in->put += bytes;
	if (in->begin == in->end)
		in->begin = in->end = 0;
}

void records_tell(struct records_in *in, struct link *link)
{
	const struct link_place place = {.value = in->put};

	if (in->put - in->told < RECORDS_TOLD_BYTES || link_room(link) < sizeof(place))
		return;
	memcpy(link_put(link, LINK_TAKEN, sizeof(place), false), &place, sizeof(place));
	in->told = in->put;
}
