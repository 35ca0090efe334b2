/* SPDX-License-Identifier: Apache-2.0 */
#include "registered_edges.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>

#include "pages.h"
#include "session.h"
#include "standstill.h"

/* What other libraries' handlers in the child may use of the stack, and what of it fork() and who called it do. */
#define STACK_BELOW ((uintptr_t)256 << 10)
#define STACK_ABOVE ((uintptr_t)64 << 10)
/* More than a thread's control block has, to which the kernel writes the child's number, and its variables below. */
#define CONTROL_BYTES	((uintptr_t)4 << 10)
#define VARIABLES_BYTES ((uintptr_t)64 << 10)

/* Pages are NULL when they are mapped there no longer: the address may be another thread's then. */
struct edge {
	uint8_t *place;
	uint8_t *shared;  /* where the shared page lies meanwhile */
	uint8_t *private; /* before it takes the place */
	uint8_t *before;  /* what was there when it did */
	bool is_in_use;	  /* by this thread */
	bool is_aside;
};

/* Not on the heap, whose pages they are. */
static struct edge edges[EDGES_MAX];
static size_t edge_count;
static bool lacks_one_in_use;

static bool edge_make(uint8_t *place, bool is_in_use)
{
	uint8_t *three;

	for (size_t i = 0; i < edge_count; i++)
		if (edges[i].place == place)
			return true;
	if (edge_count == EDGES_MAX)
		return false;
	three = mmap(NULL, 3 * (size_t)PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		     -1, 0);
	if (three == MAP_FAILED)
		return false;
	edges[edge_count++] = (struct edge){
		.place = place,
		.shared = three,
		.private = three + PAGE_BYTES,
		.before = three + 2 * (size_t)PAGE_BYTES,
		.is_in_use = is_in_use,
	};
	return true;
}

void edge_add(uint8_t *place)
{
	(void)edge_make(place, false);
}

static void in_use_add(uint8_t *start, uint8_t *end, uintptr_t used_start, uintptr_t used_end, bool must_be)
{
	used_start &= ~(uintptr_t)(PAGE_BYTES - 1);
	for (uint8_t *at = (uintptr_t)start > used_start ? start : (uint8_t *)used_start;
	     at < end && (uintptr_t)at < used_end; at += PAGE_BYTES)
		lacks_one_in_use |= !edge_make(at, must_be) && must_be;
}

void edges_add_in_use(uint8_t *start, uint8_t *end)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	uintptr_t control_block = (uintptr_t)pthread_self();

	in_use_add(start, end, frame - STACK_BELOW, frame + STACK_ABOVE, true);
	in_use_add(start, end, control_block, control_block + CONTROL_BYTES, true);
	in_use_add(start, end, control_block - VARIABLES_BYTES, control_block, false);
}

static void edges_release(void)
{
	for (size_t i = 0; i < edge_count; i++) {
		uint8_t *const pages[] = {edges[i].shared, edges[i].private, edges[i].before};

		for (size_t page = 0; page < sizeof(pages) / sizeof(pages[0]); page++)
			if (pages[page])
				munmap(pages[page], PAGE_BYTES);
	}
	edge_count = 0;
	lacks_one_in_use = false;
}

/* Puts *page in the place; false: it may be lost. As pages_take(), it looks at nothing of the thread's. */
static inline __attribute__((always_inline)) bool place_take(const struct edge *edge, uint8_t **page)
{
	enum pages_taken taken = pages_take(edge->place, *page, PAGE_BYTES);

	if (taken == PAGES_MOVED)
		*page = NULL;
	return taken != PAGES_LOST;
}

/* While the threads stand still, or this one does: then only those in use, where others seldom write. */
static void edges_work_aside(void *only_in_use)
{
	for (size_t i = 0; i < edge_count; i++) {
		struct edge *edge = &edges[i];

		if (only_in_use && !edge->is_in_use)
			continue;
		pages_copy(edge->private, edge->place, PAGE_BYTES);
		/* Of the copy, for the device may be writing. */
		pages_copy(edge->before, edge->private, PAGE_BYTES);
		if (!pages_remap(edge->shared, edge->place, PAGE_BYTES)) {
			edge->shared = NULL;
			continue;
		}
		edge->is_aside = place_take(edge, &edge->private);
		if (!edge->is_aside)
			(void)place_take(edge, &edge->shared);
	}
}

void edges_set_aside(void)
{
	if (!edge_count)
		return;
	channel_pause(session.channel, true);
	if (!standstill_run(edges_work_aside, NULL))
		(void)standstill_run_beside(edges_work_aside, edges);
}

bool edges_in_use_are_aside(void)
{
	for (size_t i = 0; i < edge_count; i++)
		if (edges[i].is_in_use && !edges[i].is_aside)
			return false;
	return !lacks_one_in_use;
}

uint8_t *edge_next(uint8_t *start, uint8_t *end)
{
	uint8_t *next = end;

	for (size_t i = 0; i < edge_count; i++)
		if (edges[i].is_aside && edges[i].place >= start && edges[i].place < next)
			next = edges[i].place;
	return next;
}

/* Where a checker of accesses knows who uses which bytes of a page. */
static void __attribute__((no_sanitize_address)) changes_put(struct edge *edge)
{
	for (size_t at = 0; at < PAGE_BYTES; at++)
		if (edge->place[at] != edge->before[at])
			edge->shared[at] = edge->place[at];
}

static void edges_work_back(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < edge_count; i++) {
		struct edge *edge = &edges[i];

		if (!edge->is_aside)
			continue;
		changes_put(edge);
		(void)place_take(edge, &edge->shared);
	}
}

void edges_bring_back(void)
{
	if (!edge_count)
		return;
	/* Who has come in between to trace the process leaves nothing but a moment in which a write can be lost. */
	if (!standstill_run(edges_work_back, NULL))
		(void)standstill_run_beside(edges_work_back, NULL);
	channel_pause(session.channel, false);
	edges_release();
}

void edges_forget(void)
{
	if (!edge_count)
		return;
	channel_pause(session.channel, false);
	edges_release();
}
