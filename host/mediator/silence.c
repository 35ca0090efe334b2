/* SPDX-License-Identifier: Apache-2.0 */
#include "silence.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "channel_private.h"
#include "mediator.h"
#include "tenant.h"

/* Whether the setting is still that nobody is looked at. */
#define SETTING_LOOK_MS 1000

struct silence {
	struct mediator *mediator;
	struct event *timer;
};

static uint64_t now_ms(void)
{
	struct timespec clock;

	clock_gettime(CLOCK_MONOTONIC, &clock);
	return (uint64_t)clock.tv_sec * 1000 + (uint64_t)clock.tv_nsec / 1000000;
}

static void look_schedule(struct silence *silence)
{
	unsigned limit_ms = silence->mediator->configuration.executor_silence_ms;
	unsigned delay_ms = limit_ms ? STANDSTILL_LOOK_MS(limit_ms) : SETTING_LOOK_MS;
	struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};

	event_add(silence->timer, &delay);
}

/* The first that was seen to stand still for too long. */
static struct channel *silent_find(const struct mediator *mediator)
{
	struct channel *channel;

	LIST_FOREACH(channel, &mediator->channels, link)
	{
		if (channel->is_silent)
			return channel;
	}
	return NULL;
}

/* The channel may be freed on return. */
static void silent_end(struct channel *channel)
{
	char text[VGPU_CONTROL_TEXT_BYTES];

	snprintf(text, sizeof(text), "the executor was stopped for longer than %u ms",
		 channel->mediator->configuration.executor_silence_ms);
	channel->is_silent = false;
	executor_process_kill(channel->executor, text);
	if (channel->stage != CHANNEL_READY)
		return;
	channel->request.tenant->usage.deaths++;
	channel->mediator->counters.deaths[channel->pool_id - 'A']++;
	tenant_fault_note(channel->request.tenant, text);
	channel_die(channel, VGPU_ERROR_EXECUTOR_DIED, text);
}

static void silence_look(evutil_socket_t none, short what, void *argument)
{
	struct silence *silence = argument;
	struct mediator *mediator = silence->mediator;
	unsigned limit_ms = mediator->configuration.executor_silence_ms;
	struct channel *channel;

	(void)none;
	(void)what;
	LIST_FOREACH(channel, &mediator->channels, link)
	{
		if (limit_ms && channel->executor)
			channel->is_silent =
				standstill_look(&channel->standstill, executor_process_pid(channel->executor),
						now_ms()) >= limit_ms;
	}
	/* From the start each time: the end of one may close others. */
	while ((channel = silent_find(mediator)))
		silent_end(channel);
	look_schedule(silence);
}

struct silence *silence_create(struct mediator *mediator)
{
	struct silence *silence = calloc(1, sizeof(*silence));

	if (!silence)
		return NULL;
	silence->mediator = mediator;
	silence->timer = evtimer_new(mediator->base, silence_look, silence);
	if (!silence->timer) {
		free(silence);
		return NULL;
	}
	look_schedule(silence);
	return silence;
}

void silence_destroy(struct silence *silence)
{
	if (!silence)
		return;
	event_free(silence->timer);
	free(silence);
}
