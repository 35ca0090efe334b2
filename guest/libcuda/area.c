/* SPDX-License-Identifier: Apache-2.0 */
#include "area.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "mappings.h"
#include "session.h"
#include "vgpu_wire.h"

#define PAGE_BYTES 4096u
#define PAGE_BITS  8 /* of one byte of the map */

/* Addresses that are free here may be taken in the executor. */
#define ATTEMPTS_MAX 8

static struct {
	pthread_mutex_t mutex;
	uint8_t *memory; /* NULL: not open yet */
	size_t pages;
	uint8_t *taken; /* a bit for each page */
} area = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static CUresult address_offer(uint32_t context, const void *address)
{
	struct vgpu_host_area request = {.address = (uintptr_t)address};
	const struct call_piece pieces[] = {{&request, sizeof(request)}};

	return call_wait(VGPU_OPCODE_HOST_AREA, context, pieces, 1, NULL, 0, NULL);
}

/* The channel is mapped here already; where that address is taken in the executor, it is mapped once more. */
static CUresult place_find(uint32_t context, uint8_t **ret_memory)
{
	struct channel *channel = session.channel;
	size_t offset = channel->layout.area_offset;
	uint8_t *mapped = channel->transport->memory;
	void *refused[ATTEMPTS_MAX];
	int count = 0;
	CUresult result = address_offer(context, mapped + offset);

	while (result == CUDA_ERROR_ALREADY_MAPPED && count < ATTEMPTS_MAX) {
		mapped = transport_map(channel->transport, 0, channel->transport->bytes);
		if (!mapped)
			break;
		result = address_offer(context, mapped + offset);
		/* Kept for now, so that the next attempt lies elsewhere. */
		if (result)
			refused[count++] = mapped;
	}
	for (int i = 0; i < count; i++)
		munmap(refused[i], channel->transport->bytes);
	if (!result)
		*ret_memory = mapped + offset;
	return result == CUDA_ERROR_ALREADY_MAPPED ? CUDA_ERROR_OUT_OF_MEMORY : result;
}

/* With the lock. */
static CUresult area_make(uint32_t context)
{
	size_t pages = session.channel->layout.area_bytes / PAGE_BYTES;
	uint8_t *taken = calloc(pages / PAGE_BITS + 1, 1);
	CUresult result;

	if (!taken)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = place_find(context, &area.memory);
	if (result) {
		free(taken);
		return result;
	}
	area.taken = taken;
	area.pages = pages;
	return CUDA_SUCCESS;
}

CUresult area_open(uint32_t context)
{
	CUresult result = CUDA_SUCCESS;

	if (!(session.features & VGPU_FEATURE_HOST_AREA) || !session.channel->layout.area_bytes)
		return CUDA_ERROR_NOT_SUPPORTED;
	pthread_mutex_lock(&area.mutex);
	if (!area.memory)
		result = area_make(context);
	pthread_mutex_unlock(&area.mutex);
	return result;
}

static size_t pages_of(size_t bytes)
{
	return bytes / PAGE_BYTES + (bytes % PAGE_BYTES != 0);
}

static bool page_is_taken(size_t page)
{
	return area.taken[page / PAGE_BITS] >> page % PAGE_BITS & 1;
}

static void pages_mark(size_t first, size_t count, bool is_taken)
{
	for (size_t page = first; page < first + count; page++) {
		uint8_t bit = (uint8_t)(1u << page % PAGE_BITS);

		if (is_taken)
			area.taken[page / PAGE_BITS] |= bit;
		else
			area.taken[page / PAGE_BITS] &= (uint8_t)~bit;
	}
}

/* The first of so many free pages in a row; area.pages: there are none. */
static size_t run_find(size_t count)
{
	size_t first = 0;

	for (size_t page = 0; page < area.pages; page++) {
		if (page_is_taken(page))
			first = page + 1;
		else if (page + 1 - first == count)
			return first;
	}
	return area.pages;
}

void *area_take(size_t bytes)
{
	size_t count = pages_of(bytes);
	void *taken = NULL;
	size_t first;

	pthread_mutex_lock(&area.mutex);
	/* From the beginning, so that large pieces stay free behind. */
	first = run_find(count);
	if (count && first < area.pages) {
		pages_mark(first, count, true);
		taken = area.memory + first * PAGE_BYTES;
	}
	pthread_mutex_unlock(&area.mutex);
	return taken;
}

size_t area_offset(const void *address)
{
	return session.channel->layout.area_offset + (size_t)((const uint8_t *)address - area.memory);
}

void area_give(void *address, size_t bytes)
{
	pthread_mutex_lock(&area.mutex);
	pages_mark((size_t)((uint8_t *)address - area.memory) / PAGE_BYTES, pages_of(bytes), false);
	pthread_mutex_unlock(&area.mutex);
}

/* A part, as /proc/self/maps has it. */
struct part {
	uint64_t address;
	uint64_t bytes;
	struct mapping own; /* that of the area in which it lies */
	bool is_elsewhere;
};

static bool own_visit(const struct mapping *mapping, void *argument)
{
	struct part *part = argument;

	if (part->address < mapping->start || part->address >= mapping->end)
		return true;
	part->own = *mapping;
	return false;
}

static bool elsewhere_visit(const struct mapping *mapping, void *argument)
{
	struct part *part = argument;
	const struct mapping *own = &part->own;
	uint64_t offset = own->offset + (part->address - own->start);

	/* Mappings of whole channels, this one's or another library's, begin at the file's beginning. */
	if (mapping->offset && mapping->inode == own->inode && mapping->major == own->major &&
	    mapping->minor == own->minor && mapping->offset < offset + part->bytes &&
	    offset < mapping->offset + (mapping->end - mapping->start))
		part->is_elsewhere = true;
	return !part->is_elsewhere;
}

bool area_is_elsewhere(const void *address, size_t bytes)
{
	struct part part = {.address = (uintptr_t)address, .bytes = bytes};

	return !mappings_each(own_visit, &part) || part.own.end - part.address < bytes ||
	       !mappings_each(elsewhere_visit, &part) || part.is_elsewhere;
}
