/* SPDX-License-Identifier: Apache-2.0 */
#include "lane.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* In one direction before the other gets its turn. */
#define BYTES_IN_A_ROW (1u << 20)
/* A wake-up that is lost would be a mistake of ours; it should not hang. */
#define LOOK_MS 1000

/* False: they are not known yet, or lie outside of the memory. */
static bool windows_read(struct lane *lane)
{
	struct lanes_windows windows;

	if (lane->windows.out_bytes)
		return true;
	if (!__atomic_load_n(&lane->page->is_open, __ATOMIC_ACQUIRE))
		return false;
	windows = lane->page->windows;
	if ((uint64_t)windows.in_offset + windows.in_bytes > lane->memory_bytes ||
	    (uint64_t)windows.out_offset + windows.out_bytes > lane->memory_bytes)
		return false;
	lane->windows = windows;
	return true;
}

static bool window_has(uint32_t window_bytes, uint64_t place, uint64_t bytes)
{
	return bytes > 0 && bytes <= LANE_PIECE_BYTES && bytes <= window_bytes && place <= window_bytes - bytes;
}

static bool head_is_valid(struct lane *lane)
{
	const struct lane_head *head = &lane->in_head;

	if (!lane->has_begun)
		return head->number == 0 && head->place == 0 && head->bytes == 0 && head->reserved == 0;
	return head->reserved == 0 && lanes_number_is_valid(lane->page, head->number) && windows_read(lane) &&
	       window_has(lane->windows.in_bytes, head->place, head->bytes);
}

/* 1: some bytes came, 0: none now, -1: the lane is lost. */
static int some_receive(struct lane *lane)
{
	uint64_t got = lane->in_got;
	uint8_t *to;
	size_t wanted, came;

	if (got < sizeof(lane->in_head)) {
		to = (uint8_t *)&lane->in_head + got;
		wanted = sizeof(lane->in_head) - got;
	} else {
		got -= sizeof(lane->in_head);
		to = lane->memory + lane->windows.in_offset + lane->in_head.place + got;
		wanted = lane->in_head.bytes - got;
	}
	came = link_read(lane->link, to, wanted);
	if (came == 0)
		return lane->link->reason[0] ? -1 : 0;
	lane->in_got += came;
	if (lane->in_got == sizeof(lane->in_head) && !head_is_valid(lane)) {
		snprintf(lane->link->reason, sizeof(lane->link->reason), "a piece came that is none");
		return -1;
	}
	return 1;
}

/* True: something came. False, perhaps with the lane's reason to be lost. */
static bool pieces_receive(struct lane *lane)
{
	uint64_t total = 0;

	while (total < BYTES_IN_A_ROW) {
		uint64_t before = lane->in_got;
		int result = some_receive(lane);

		if (result <= 0)
			break;
		total += lane->in_got - before;
		if (lane->in_got >= sizeof(lane->in_head) &&
		    lane->in_got == sizeof(lane->in_head) + lane->in_head.bytes) {
			lane->in_got = 0;
			if (lane->has_begun)
				lanes_piece_came(lane->page, lane->bell, lane->in_head.number);
			lane->has_begun = true;
		}
	}
	if (total)
		__atomic_fetch_add(&lane->page->heard_bytes, total, __ATOMIC_RELAXED);
	return total > 0;
}

/* False: there is none, or it is none of ours. */
static bool piece_begin(struct lane *lane)
{
	struct lanes_piece *piece = &lane->out_piece;
	uint64_t number;

	if (!lanes_piece_take(lane->page, lane->bell, piece, &number))
		return false;
	if (!windows_read(lane) || !window_has(lane->windows.out_bytes, piece->place, piece->bytes)) {
		snprintf(lane->link->reason, sizeof(lane->link->reason), "a piece to send is none");
		return false;
	}
	lane->out_head = (struct lane_head){.number = number, .place = piece->place, .bytes = (uint32_t)piece->bytes};
	lane->out_left = sizeof(lane->out_head) + piece->bytes;
	return true;
}

/* True: something has left. */
static bool pieces_send(struct lane *lane)
{
	uint64_t total = 0;

	while (lane->has_begun && total < BYTES_IN_A_ROW && (lane->out_left || piece_begin(lane))) {
		uint64_t bytes = lane->out_piece.bytes;
		const uint8_t *from;
		size_t wanted, left;

		if (lane->out_left > bytes) {
			wanted = lane->out_left - bytes;
			from = (const uint8_t *)&lane->out_head + sizeof(lane->out_head) - wanted;
		} else {
			wanted = lane->out_left;
			from = lane->memory + lane->windows.out_offset + lane->out_piece.place + bytes - wanted;
		}
		left = link_write(lane->link, from, wanted);
		if (left == 0)
			break;
		lane->out_left -= left;
		total += left;
	}
	return total > 0;
}

static void wait(struct lane *lane)
{
	struct lanes_page *page = lane->page;
	struct pollfd waits[] = {{.fd = lane->link->socket, .events = POLLIN}, {.fd = lane->wake, .events = POLLIN}};
	uint64_t count;
	ssize_t got = 0;

	if (lane->out_left || !lane->has_begun) {
		if (lane->out_left)
			waits[0].events |= POLLOUT;
		poll(waits, 1, LOOK_MS);
		return;
	}
	__atomic_fetch_add(&page->lanes_idle, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&page->made, __ATOMIC_ACQUIRE) == __atomic_load_n(&page->taken, __ATOMIC_ACQUIRE) &&
	    !__atomic_load_n(&page->is_over, __ATOMIC_ACQUIRE))
		poll(waits, 2, LOOK_MS);
	__atomic_fetch_sub(&page->lanes_idle, 1, __ATOMIC_SEQ_CST);
	if (waits[1].revents & POLLIN)
		got = read(lane->wake, &count, sizeof(count));
	/* Another lane was faster. */
	(void)got;
}

void lane_begin(struct lane *lane)
{
	lane->has_begun = true;
	lane->out_piece.bytes = 0;
	lane->out_left = sizeof(lane->out_head);
}

void lane_run(struct lane *lane)
{
	struct link *link = lane->link;

	link_frames_end(link);
	while (!link->reason[0] && !__atomic_load_n(&lane->page->is_over, __ATOMIC_ACQUIRE)) {
		bool progress = pieces_receive(lane);

		if (!link->reason[0] && pieces_send(lane))
			progress = true;
		if (!progress && !link->reason[0])
			wait(lane);
	}
	if (link->reason[0] && lane->has_begun)
		lanes_lose(lane->page, lane->bell, link->reason);
}
