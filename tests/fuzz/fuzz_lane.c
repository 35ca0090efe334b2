/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target: anything that the other side may send over a lane, and what the lanes' owner has it send
 * meanwhile. Whatever comes, only the window of this direction is written, only the other is sent, and the lane ends
 * for a reason that the owner is told.
 */
#include <stdlib.h>
#include <unistd.h>

#include <sanitizer/asan_interface.h>

#include "lane.h"
#include "wire.h"

#define WINDOW_BYTES (512u << 10)
#define GAP_BYTES    4096u /* before, between and behind the windows: not to be touched */
#define MEMORY_BYTES (2 * WINDOW_BYTES + 3 * GAP_BYTES)

/* The input's first byte. */
#define FLAG_RELAY 1u /* which begins; else it is the worker's end */

/* Steps of the owner's. */
enum {
	OWNER_OPENS = WIRE_STEP_COUNT, /* the windows are known */
	OWNER_PUTS,		       /* two numbers, place and bytes, both within the window, to be sent */
	OWNER_LOOKS,		       /* how many pieces have come */
	OWNER_SLEEPS,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct lanes lanes;
static uint8_t *memory;
static const struct lanes_windows windows = {
	.out_offset = GAP_BYTES,
	.out_bytes = WINDOW_BYTES,
	.in_offset = WINDOW_BYTES + 2 * GAP_BYTES,
	.in_bytes = WINDOW_BYTES,
};

static void put(const struct step *step, const uint8_t *data)
{
	uint32_t numbers[2] = {0};
	uint32_t place, bytes;

	memcpy(numbers, data, step->bytes < sizeof(numbers) ? step->bytes : sizeof(numbers));
	place = numbers[0] % WINDOW_BYTES;
	bytes = numbers[1] % (WINDOW_BYTES - place) + 1;
	lanes_put(&lanes, place, bytes);
}

static void act(const struct step *step, const uint8_t *data)
{
	switch (step->kind) {
	case OWNER_OPENS:
		lanes_open(&lanes, &windows);
		break;
	case OWNER_PUTS:
		put(step, data);
		break;
	case OWNER_LOOKS:
		lanes_complete(&lanes);
		break;
	case OWNER_SLEEPS:
		lanes.awaited = lanes.page->complete + step->value;
		lanes_sleep_prepare(&lanes);
		break;
	default:
		break;
	}
}

static void rooms_make(void)
{
	memory = malloc(MEMORY_BYTES);
	if (!memory || lanes_create(&lanes, 1, NULL) < 0)
		abort();
	memset(memory, 0, MEMORY_BYTES);
	for (uint32_t at = 0; at < MEMORY_BYTES; at += WINDOW_BYTES + GAP_BYTES)
		ASAN_POISON_MEMORY_REGION(memory + at, GAP_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	unsigned flags = bytes ? data[0] : 0;
	struct lane lane;
	struct link link;

	if (!memory)
		rooms_make();
	memset(lanes.page, 0, sizeof(*lanes.page));
	lanes.awaited = 0;
	if (link_create(&link, wire_context(), wire_socket()) < 0)
		abort();
	lane = (struct lane){
		.link = &link,
		.page = lanes.page,
		.memory = memory,
		.memory_bytes = MEMORY_BYTES,
		.wake = lanes.wake,
		.bell = lanes.bell,
	};
	if (flags & FLAG_RELAY)
		lane_begin(&lane);
	wire_begin(data, bytes, act, false);
	lane_run(&lane);
	if (!link.reason[0] || (lane.has_begun && lanes.page->lost != LANES_LOST))
		abort();
	/* What is said to have come has come. */
	if (lanes_complete(&lanes) * sizeof(struct lane_head) > lanes.page->heard_bytes)
		abort();
	link_destroy(&link);
	return 0;
}
