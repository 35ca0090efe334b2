/* SPDX-License-Identifier: Apache-2.0 */
/* Touches of the program, as the thread of mirror_faults.c serves them. */
#include <pthread.h>

#include "capture.h"
#include "faults.h"
#include "host_function.h"
#include "mirror_blocks.h"
#include "mirror_faults.h"
#include "mirror_set.h"
#include "mirror_table.h"
#include "mirror_work.h"

#define PAGE_BYTES 4096u

/* How often a touch waits for the device while others may give it work. The last time they may not. */
#define TOUCH_WAITS_MAX 3u

/* How many blocks to bring for a touch: of those that come one after the other ever more. */
static size_t ahead_decide(struct mirror *mirror, size_t block)
{
	size_t wanted = mirror->ahead_count && block == mirror->ahead_block ? 2 * mirror->ahead_count : 1;
	size_t count = mirror_blocks_count_away(mirror, block, mirror->block_count,
						wanted < MIRROR_BLOCKS_AT_ONCE ? wanted : MIRROR_BLOCKS_AT_ONCE);

	mirror->ahead_block = block + count;
	mirror->ahead_count = count;
	return count;
}

static size_t touched_block(const struct mirror *mirror, const struct fault *fault)
{
	return (fault->address - mirror->address) / MIRROR_BLOCK_BYTES;
}

static CUresult away_serve(struct mirror *mirror, size_t block, bool is_write)
{
	CUresult result;

	result = mirror_blocks_bring(mirror, block, ahead_decide(mirror, block), is_write);
	mirror_note_present(mirror);
	return result;
}

/* With the mutex. */
static CUresult touch_serve(struct mirror *mirror, const struct fault *fault)
{
	void *page = (void *)(uintptr_t)fault->address;
	size_t block = touched_block(mirror, fault);

	if (mirror->blocks[block] == MIRROR_AWAY)
		return away_serve(mirror, block, fault->is_write);
	/* Another thread's touch has brought it; unless the program has thrown it away itself. */
	if (!fault->is_of_protection && mirror->blocks[block] != MIRROR_LOST)
		faults_fill_zero(page, PAGE_BYTES);
	if (fault->is_write && mirror->blocks[block] != MIRROR_LOST)
		mirror_block_give(mirror, block);
	else
		faults_wake(page, PAGE_BYTES);
	return CUDA_SUCCESS;
}

/*
 * The program has waited for the device before it touches the memory; where it has not, or where the work was posted
 * while another thread touched, that is waited for here. Not while a function of the program may be the one that
 * touches, which the device waits for, and not in the middle of a capture, which that would end.
 */
static bool touch_waits(struct mirror *mirror, const struct fault *fault)
{
	if (host_functions_expected() || __atomic_load_n(&captures_open, __ATOMIC_ACQUIRE))
		return false;
	switch (mirror->blocks[touched_block(mirror, fault)]) {
	case MIRROR_AWAY:
		return mirror_work_of(mirror)->is_pending;
	case MIRROR_BOTH:
		/* The device may still read what it has. */
		return fault->is_write && mirror_work_of(mirror)->is_pending;
	default:
		return false;
	}
}

/*
 * With the mutex, which others have meanwhile unless it is held: they may give the device more to do, or what it waits
 * for. What the address has then, if it is mirrored still.
 */
static struct mirror *touch_await(struct mirror *mirror, const struct fault *fault, bool is_held)
{
	const struct mirror_work work = *mirror_work_of(mirror);
	uint64_t works = mirror_works_noted;
	bool is_done;

	if (!is_held)
		pthread_mutex_unlock(&mirrors.mutex);
	is_done = mirror_work_await(&work);
	if (!is_held)
		pthread_mutex_lock(&mirrors.mutex);
	mirror = mirror_table_find(&mirrors.table, fault->address);
	if (mirror && is_done && mirror_works_noted == works)
		mirror_work_of(mirror)->is_pending = false;
	return mirror;
}

CUresult mirror_touch_serve(const struct fault *fault)
{
	struct mirror *mirror;
	CUresult result = CUDA_SUCCESS;

	pthread_mutex_lock(&mirrors.mutex);
	mirror = mirror_table_find(&mirrors.table, fault->address);
	/* Threads that give the device ever more to do are held up in the end. */
	for (unsigned int i = 1; i <= TOUCH_WAITS_MAX && mirror && touch_waits(mirror, fault); i++)
		mirror = touch_await(mirror, fault, i == TOUCH_WAITS_MAX);
	if (mirror)
		result = touch_serve(mirror, fault);
	else
		faults_wake((void *)(uintptr_t)fault->address, PAGE_BYTES);
	pthread_mutex_unlock(&mirrors.mutex);
	return result;
}

void mirror_touch_refuse(const struct fault *fault)
{
	struct mirror *mirror;

	pthread_mutex_lock(&mirrors.mutex);
	mirror = mirror_table_find(&mirrors.table, fault->address);
	if (mirror)
		mirror_block_lose(mirror, touched_block(mirror, fault));
	pthread_mutex_unlock(&mirrors.mutex);
}
