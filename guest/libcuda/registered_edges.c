/* SPDX-License-Identifier: Apache-2.0 */
#include "registered_edges.h"

#include <stddef.h>
#include <sys/mman.h>

#include "pages.h"
#include "session.h"
#include "standstill.h"

/* Pages are NULL when they are mapped there no longer: the address may be another thread's then. */
struct edge {
	uint8_t *place;
	uint8_t *shared;  /* where the shared page lies meanwhile */
	uint8_t *private; /* before it takes the place */
	uint8_t *before;  /* what was there when it did */
	bool is_aside;
};

/* Not on the heap, whose pages they are. */
static struct edge edges[EDGES_MAX];
static size_t edge_count;

void edge_add(uint8_t *place)
{
	uint8_t *three;

	for (size_t i = 0; i < edge_count; i++)
		if (edges[i].place == place)
			return;
	if (edge_count == EDGES_MAX)
		return;
	three = mmap(NULL, 3 * (size_t)PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		     -1, 0);
	if (three == MAP_FAILED)
		return;
	edges[edge_count++] = (struct edge){
		.place = place,
		.shared = three,
		.private = three + PAGE_BYTES,
		.before = three + 2 * (size_t)PAGE_BYTES,
	};
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
}

/* Puts *page in the place; false: it may be lost. */
static bool place_take(const struct edge *edge, uint8_t **page)
{
	enum pages_taken taken = pages_take(edge->place, *page, PAGE_BYTES);

	if (taken == PAGES_MOVED)
		*page = NULL;
	return taken != PAGES_LOST;
}

/* While the other threads stand still. */
static void all_set_aside(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < edge_count; i++) {
		struct edge *edge = &edges[i];

		pages_copy(edge->private, edge->place, PAGE_BYTES);
		/* Of the copy, for the device may be writing. */
		pages_copy(edge->before, edge->private, PAGE_BYTES);
		if (mremap(edge->place, PAGE_BYTES, PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, edge->shared) !=
		    edge->shared) {
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
	(void)standstill_run(all_set_aside, NULL);
}

bool edge_is_aside(const uint8_t *place)
{
	for (size_t i = 0; i < edge_count; i++)
		if (edges[i].place == place)
			return edges[i].is_aside;
	return false;
}

static void all_bring_back(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < edge_count; i++) {
		struct edge *edge = &edges[i];

		if (!edge->is_aside)
			continue;
		for (size_t at = 0; at < PAGE_BYTES; at++)
			if (edge->place[at] != edge->before[at])
				edge->shared[at] = edge->place[at];
		(void)place_take(edge, &edge->shared);
	}
}

void edges_bring_back(void)
{
	if (!edge_count)
		return;
	/* Who has come in between to trace the process leaves nothing but a moment in which a write can be lost. */
	if (!standstill_run(all_bring_back, NULL))
		all_bring_back(NULL);
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
