/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include <string.h>

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

int records_next(const struct records_in *in, struct vgpu_record *ret_header, const uint8_t **ret_record)
{
	uint32_t left = in->end - in->begin;

	if (left == 0)
		return 0;
	if (left < sizeof(*ret_header))
		return -1;
	memcpy(ret_header, in->bytes + in->begin, sizeof(*ret_header));
	if (ret_header->length < sizeof(*ret_header) || ret_header->length > left ||
	    ret_header->length > VGPU_RECORD_BYTES_MAX || ret_header->length % VGPU_RECORD_ALIGNMENT ||
	    ret_header->opcode == VGPU_OPCODE_PAD)
		return -1;
	*ret_record = in->bytes + in->begin;
	return 1;
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
