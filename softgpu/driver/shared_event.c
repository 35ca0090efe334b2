/* SPDX-License-Identifier: Apache-2.0 */
#include "shared_event.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/shm.h>
#include <time.h>

#include "arena.h"
#include "segment.h"

/* Who waits looks this often: soon at first, rarely in the long run. */
#define POLL_NS_FIRST 2000
#define POLL_NS_LAST  500000

struct shared_words {
	_Atomic uint64_t recorded;
	_Atomic uint64_t reached;
};

struct shared_event {
	_Atomic unsigned references;
	struct segment segment;
	struct shared_words *words;
};

static struct shared_event *event_new(void)
{
	struct shared_event *event = calloc(1, sizeof(*event));

	if (event)
		event->references = 1;
	return event;
}

struct shared_event *shared_event_make(void)
{
	struct shared_event *event = event_new();
	void *words = NULL;

	if (event && !segment_make(SEGMENT_EVENT, ARENA_PAGE_BYTES, &words, &event->segment)) {
		free(event);
		return NULL;
	}
	if (event)
		event->words = words;
	return event;
}

CUresult shared_event_open(const CUipcEventHandle *handle, struct shared_event **ret_event)
{
	struct shared_event *event;
	struct segment segment;
	void *words = NULL;
	CUresult result = segment_read(handle->reserved, SEGMENT_EVENT, &segment);

	if (result)
		return result;
	event = event_new();
	if (!event)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (segment.bytes != ARENA_PAGE_BYTES || !segment_attach(&segment, &words)) {
		free(event);
		return CUDA_ERROR_MAP_FAILED;
	}
	event->segment = segment;
	event->words = words;
	*ret_event = event;
	return CUDA_SUCCESS;
}

struct shared_event *shared_event_retain(struct shared_event *event)
{
	event->references++;
	return event;
}

void shared_event_release(struct shared_event *event)
{
	if (!event || --event->references)
		return;
	shmdt((void *)event->words);
	free(event);
}

void shared_event_name(const struct shared_event *event, CUipcEventHandle *ret_handle)
{
	segment_write(&event->segment, ret_handle->reserved);
}

uint64_t shared_event_record(struct shared_event *event)
{
	return ++event->words->recorded;
}

void shared_event_reach(struct shared_event *event, uint64_t number)
{
	uint64_t reached = event->words->reached;

	while (reached < number && !atomic_compare_exchange_weak(&event->words->reached, &reached, number))
		continue;
}

static bool number_is_reached(const struct shared_event *event, uint64_t number)
{
	return event->words->reached >= number || segment_is_ours_alone(&event->segment);
}

bool shared_event_is_reached(const struct shared_event *event)
{
	return number_is_reached(event, event->words->recorded);
}

static void number_await(const struct shared_event *event, const struct context *context, uint64_t number)
{
	struct timespec pause = {.tv_nsec = POLL_NS_FIRST};

	while (!number_is_reached(event, number) && !context->error && !context->cancelled) {
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < POLL_NS_LAST)
			pause.tv_nsec *= 2;
	}
}

void shared_event_wait(const struct shared_event *event, const struct context *context)
{
	number_await(event, context, event->words->recorded);
}

struct wait_work {
	struct work work;
	struct shared_event *event;
	uint64_t number;
};

static CUresult wait_run(struct work *work, struct stream *stream)
{
	const struct wait_work *wait = (const struct wait_work *)work;

	number_await(wait->event, stream->context, wait->number);
	return CUDA_SUCCESS;
}

static void wait_free(struct work *work)
{
	shared_event_release(((struct wait_work *)work)->event);
	free(work);
}

struct work *shared_event_wait_work(struct shared_event *event)
{
	struct wait_work *wait = calloc(1, sizeof(*wait));

	if (!wait)
		return NULL;
	*wait = (struct wait_work){
		.work = {.run = wait_run, .free = wait_free, .node_type = CU_GRAPH_NODE_TYPE_WAIT_EVENT},
		.event = shared_event_retain(event),
		.number = event->words->recorded,
	};
	return &wait->work;
}
