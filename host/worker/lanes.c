/* SPDX-License-Identifier: Apache-2.0 */
#include "lanes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory_file.h"

#define LOAD(word)	   __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define STORE(word, value) __atomic_store_n(&(word), value, __ATOMIC_RELEASE)

static void ring(int eventfd, uint64_t count)
{
	ssize_t written;

	do
		written = write(eventfd, &count, sizeof(count));
	while (written < 0 && errno == EINTR);
	/* EAGAIN: the counter is full, so whoever waits has its wake-up already. */
}

int lanes_create(struct lanes *lanes, unsigned count, int *file)
{
	int memory = memory_file_create("vgpu-lanes", sizeof(struct lanes_page));
	void *page = memory < 0 ? MAP_FAILED
				: mmap(NULL, sizeof(struct lanes_page), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	int error;

	*lanes = (struct lanes){
		.count = count,
		.page = page,
		.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE),
		.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	error = errno;
	if (memory >= 0 && (!file || page == MAP_FAILED))
		close(memory);
	if (page != MAP_FAILED && lanes->wake >= 0 && lanes->bell >= 0) {
		if (file)
			*file = memory;
		return 0;
	}
	if (page != MAP_FAILED) {
		munmap(page, sizeof(struct lanes_page));
		if (file)
			close(memory);
	}
	if (lanes->wake >= 0)
		close(lanes->wake);
	if (lanes->bell >= 0)
		close(lanes->bell);
	*lanes = (struct lanes){0};
	errno = error;
	return -1;
}

void lanes_open(struct lanes *lanes, const struct lanes_windows *windows)
{
	if (!lanes->count)
		return;
	lanes->page->windows = *windows;
	STORE(lanes->page->is_open, 1);
}

bool lanes_put(struct lanes *lanes, uint64_t place, uint64_t bytes)
{
	struct lanes_page *page = lanes->page;
	uint64_t made = page->made;
	uint64_t count = (bytes + LANE_PIECE_BYTES - 1) / LANE_PIECE_BYTES;
	uint64_t piece = (bytes / count + 63) & ~63ull;
	uint32_t idle;

	if (LANES_QUEUE - (made - LOAD(page->taken)) < count) {
		STORE(page->owner_waits, 1);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (LANES_QUEUE - (made - LOAD(page->taken)) < count)
			return false;
	}
	STORE(page->owner_waits, 0);
	for (uint64_t i = 0; i < count; i++) {
		struct lanes_piece *entry = &page->queue[(made + i) % LANES_QUEUE];
		uint64_t size = i + 1 < count ? piece : bytes;

		__atomic_store_n(&entry->place, place, __ATOMIC_RELAXED);
		__atomic_store_n(&entry->bytes, size, __ATOMIC_RELAXED);
		place += size;
		bytes -= size;
	}
	STORE(page->made, made + count);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	idle = LOAD(page->lanes_idle);
	if (idle)
		ring(lanes->wake, idle < count ? idle : count);
	return true;
}

uint64_t lanes_complete(struct lanes *lanes)
{
	struct lanes_page *page = lanes->page;
	uint64_t complete = page->complete;

	while (LOAD(page->arrived[complete % LANES_AHEAD]) == complete + 1)
		complete++;
	if (complete != page->complete)
		STORE(page->complete, complete);
	return complete;
}

bool lanes_sleep_prepare(struct lanes *lanes)
{
	/* What nobody awaits yet is looked at when somebody does. */
	if (!lanes->count || lanes->awaited <= lanes->page->complete)
		return false;
	STORE(lanes->page->owner_sleeps, 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return lanes_complete(lanes) >= lanes->awaited;
}

void lanes_wake(struct lanes *lanes)
{
	uint64_t count;
	ssize_t got;

	if (!lanes->count)
		return;
	STORE(lanes->page->owner_sleeps, 0);
	do
		got = read(lanes->bell, &count, sizeof(count));
	while (got < 0 && errno == EINTR);
}

const char *lanes_lost(struct lanes *lanes, uint64_t now_ms, uint64_t silence_ms)
{
	uint64_t heard;

	if (!lanes->count)
		return NULL;
	if (LOAD(lanes->page->lost) == LANES_LOST) {
		lanes->page->reason[LANES_REASON_BYTES - 1] = '\0';
		return lanes->page->reason;
	}
	heard = __atomic_load_n(&lanes->page->heard_bytes, __ATOMIC_RELAXED);
	/* Who is busy with other things does not look: silence counts from the first look at an await. */
	if (lanes->awaited <= lanes->page->complete || lanes->awaited != lanes->looked_awaited ||
	    heard != lanes->heard_bytes) {
		lanes->looked_awaited = lanes->awaited;
		lanes->heard_bytes = heard;
		lanes->heard_ms = now_ms;
	}
	return now_ms - lanes->heard_ms > silence_ms ? "nothing comes over the lanes" : NULL;
}

void lanes_end(struct lanes *lanes)
{
	if (!lanes->count)
		return;
	STORE(lanes->page->is_over, 1);
	ring(lanes->wake, lanes->count);
}

struct lanes_page *lanes_page_map(int file)
{
	struct stat status;
	void *page;

	if (fstat(file, &status) < 0)
		return NULL;
	if (status.st_size < (off_t)sizeof(struct lanes_page)) {
		errno = EINVAL;
		return NULL;
	}
	page = mmap(NULL, sizeof(struct lanes_page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	return page == MAP_FAILED ? NULL : page;
}

bool lanes_piece_take(struct lanes_page *page, int bell, struct lanes_piece *ret_piece, uint64_t *ret_number)
{
	uint64_t taken = LOAD(page->taken);

	while (taken != LOAD(page->made)) {
		const struct lanes_piece *entry = &page->queue[taken % LANES_QUEUE];

		/* Not overwritten before 'taken' has gone on, and then this is not the one that has it. */
		ret_piece->place = __atomic_load_n(&entry->place, __ATOMIC_RELAXED);
		ret_piece->bytes = __atomic_load_n(&entry->bytes, __ATOMIC_RELAXED);
		if (!__atomic_compare_exchange_n(&page->taken, &taken, taken + 1, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_ACQUIRE))
			continue;
		*ret_number = taken;
		if (LOAD(page->owner_waits) && __atomic_exchange_n(&page->owner_waits, 0, __ATOMIC_ACQ_REL))
			ring(bell, 1);
		return true;
	}
	return false;
}

bool lanes_number_is_valid(const struct lanes_page *page, uint64_t number)
{
	return number - LOAD(page->complete) < LANES_AHEAD;
}

void lanes_piece_came(struct lanes_page *page, int bell, uint64_t number)
{
	STORE(page->arrived[number % LANES_AHEAD], number + 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (LOAD(page->owner_sleeps) && __atomic_exchange_n(&page->owner_sleeps, 0, __ATOMIC_ACQ_REL))
		ring(bell, 1);
}

void lanes_lose(struct lanes_page *page, int bell, const char *reason)
{
	uint32_t there = LANES_THERE;

	if (__atomic_compare_exchange_n(&page->lost, &there, LANES_ENDING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		snprintf(page->reason, sizeof(page->reason), "%s", reason);
		STORE(page->lost, LANES_LOST);
	}
	ring(bell, 1);
}
