/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target: anything that a worker may say to a relay, from its answer to OPEN on, while a guest, as hostile,
 * uses the channel. Whatever comes, the relay ends with a reason, has written into no other memory than it may, and
 * what it has charged its tenant is what it says of itself.
 */
#include <stdlib.h>
#include <sys/eventfd.h>

#include <sanitizer/asan_interface.h>

#include "relay_lanes.h"
#include "relay_open.h"
#include "wire.h"

#define WINDOW_BYTES   (128u << 10)
#define FUNCTION_BYTES (16u << 10)
#define RING_BYTES     (128u << 10)
#define COUNTERS_BYTES 4096
#define SILENCE_MS     1000000
#define ROOM_ALIGNMENT 64

/* The input's first byte. */
#define FLAG_OPENS 1u /* else the worker has said already that it is ready */
#define FLAG_LANES 2u

/* Steps of the guest's and of others. */
enum {
	GUEST_RECORD = WIRE_STEP_COUNT, /* posts it, with its length put right */
	GUEST_TAKES,			/* the replies that are there */
	GUEST_RETURNS,			/* from the function that was called last */
	GUEST_WRITES,			/* bytes into the channel's header, at 8 times 'value' */
	GUEST_FILLS,			/* bytes into the upload window */
	PERMIT,				/* the mediator gives one of this word */
	PIECE,				/* one has come over a lane */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct relay relay;
static struct lanes lanes;
static struct unpacker unpacker;
static struct vgpu_channel_header *header;
static struct vgpu_permit_page *permit;
static struct vgpu_tenant_page *tenant;
static uint8_t *counters;
static struct channel channel;
static struct ring guest_commands, guest_replies;
static uint8_t record[VGPU_RECORD_BYTES_MAX];

void relay_host_name(char name[LINK_HOST_BYTES])
{
	strcpy(name, "host");
}

/* What comes over it is in the same steps. */
bool relay_connect_lane(struct link *link, const struct link *first, const struct relay_connect_plan *plan,
			struct relay_connect_failure *ret_failure)
{
	(void)first;
	(void)plan;
	(void)ret_failure;
	return link_create(link, wire_context(), wire_socket()) == 0;
}

static void act(const struct step *step, const uint8_t *data)
{
	size_t at = step->value * 8u;
	uint64_t number = 0;

	memcpy(&number, data, step->bytes < sizeof(number) ? step->bytes : sizeof(number));
	switch (step->kind) {
	case GUEST_RECORD:
		wire_record_post(&guest_commands, step, data);
		break;
	case GUEST_TAKES:
		while (ring_take(&guest_replies, record, sizeof(record)) == RING_OK) {
		}
		break;
	case GUEST_RETURNS:
		header->functions_returned = header->functions_called;
		break;
	case GUEST_WRITES:
		if (at < sizeof(*header))
			memcpy((uint8_t *)header + at, data,
			       step->bytes < sizeof(*header) - at ? step->bytes : sizeof(*header) - at);
		break;
	case GUEST_FILLS:
		memcpy(channel.upload, data, step->bytes);
		break;
	case PERMIT:
		permit->word = (uint32_t)number;
		permit->until_ns = step->value ? VGPU_TIME_NEVER : number;
		break;
	case PIECE:
		if (relay.lanes.count && lanes_number_is_valid(lanes.page, number))
			lanes_piece_came(lanes.page, lanes.bell, number);
		break;
	default:
		break;
	}
}

static void *room(size_t bytes)
{
	void *memory;

	if (posix_memalign(&memory, ROOM_ALIGNMENT, bytes))
		abort();
	return memset(memory, 0, bytes);
}

/* Each part of the channel is memory of its own, of its exact size: the sanitizer sees what goes beyond. */
static void rooms_make(void)
{
	header = room(sizeof(*header));
	permit = room(VGPU_SCHEDULE_PAGE_BYTES);
	tenant = room(VGPU_SCHEDULE_PAGE_BYTES);
	counters = room(COUNTERS_BYTES);
	channel = (struct channel){
		.header = header,
		.upload = room(WINDOW_BYTES),
		.upload_bytes = WINDOW_BYTES,
		.download = room(WINDOW_BYTES),
		.download_bytes = WINDOW_BYTES,
		.function = room(FUNCTION_BYTES),
		.function_bytes = FUNCTION_BYTES,
		.doorbell = eventfd(0, EFD_NONBLOCK),
		.interrupt = eventfd(0, EFD_NONBLOCK),
	};
	channel.commands.data = room(RING_BYTES);
	channel.replies.data = room(RING_BYTES);
	if (lanes_create(&lanes, 1, NULL) < 0)
		abort();
}

static void relay_make(unsigned flags)
{
	ASAN_UNPOISON_MEMORY_REGION(&relay, sizeof(relay));
	memset(&relay, 0, sizeof(relay));
	memset(header, 0, sizeof(*header));
	memset(permit, 0, sizeof(*permit));
	memset(tenant, 0, sizeof(*tenant));
	memset(counters, 0, COUNTERS_BYTES);
	memset(lanes.page, 0, sizeof(*lanes.page));
	ring_attach(&channel.commands, &header->command, channel.commands.data, RING_BYTES);
	ring_attach(&channel.replies, &header->reply, channel.replies.data, RING_BYTES);
	ring_attach(&guest_commands, &header->command, channel.commands.data, RING_BYTES);
	ring_attach(&guest_replies, &header->reply, channel.replies.data, RING_BYTES);
	relay.channel = channel;
	relay.counters = (void *)counters;
	relay.control = -1;
	relay.silence_ms = SILENCE_MS;
	relay.schedule = (struct relay_schedule){
		.permit = permit,
		.tenant = tenant,
		.own = (void *)(counters + VGPU_SCHEDULE_OFFSET),
		.counters = relay.counters,
		.wake = channel.doorbell,
		.bell = channel.interrupt,
		.is_due = true,
		.is_answered = true,
	};
	relay.lanes_wanted = LANES_MAX;
	if (flags & FLAG_LANES) {
		relay.lanes = lanes;
		relay.replies_in.lanes = &relay.lanes;
	}
	relay.unpacker = unpacker;
	if (link_create(&relay.link, wire_context(), wire_socket()) < 0)
		abort();
}

static bool opens(unsigned flags)
{
	const struct vgpu_control_executor_start start = {.vm_id = 7, .channel_bytes = VGPU_CHANNEL_BYTES_LOCAL};
	const struct relay_connect_plan plan = {.worker = "worker:1"};

	return !(flags & FLAG_OPENS) || relay_open(&relay, &start, &plan, SILENCE_MS);
}

static void relay_look(void)
{
	const struct vgpu_executor_schedule *own = relay.schedule.own;

	if (!relay.fault || !relay.fault_text[0])
		abort();
	if (own->memory_charged != tenant->memory_bytes || own->pinned_charged != tenant->pinned_bytes ||
	    own->handles != tenant->handles)
		abort();
	if (relay.functions_called - relay.functions_returned > 1)
		abort();
	/* It gives back no more of the window than was used. */
	if (relay.upload_used - relay.upload_released > WINDOW_BYTES)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	unsigned flags = bytes ? data[0] : 0;

	if (!header)
		rooms_make();
	relay_make(flags);
	wire_begin(data, bytes, act, true);
	if (opens(flags))
		relay_run(&relay);
	relay_lanes_end(&relay);
	relay_look();
	unpacker = relay.unpacker;
	link_destroy(&relay.link);
	return 0;
}
