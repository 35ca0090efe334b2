/* SPDX-License-Identifier: Apache-2.0 */
#include "silence.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "channel_private.h"
#include "gpu_hangs.h"
#include "gpus.h"
#include "hang.h"
#include "mediator.h"
#include "probe.h"
#include "tenant.h"
#include "worker.h"

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

static struct standstill_limits limits_of(const struct mediator *mediator)
{
	return (struct standstill_limits){
		.stopped_ms = mediator->configuration.executor_silence_ms,
		.stuck_ms = mediator->configuration.executor_stuck_seconds * 1000u,
	};
}

static void look_schedule(struct silence *silence)
{
	struct standstill_limits limits = limits_of(silence->mediator);
	unsigned interval_ms = standstill_interval(&limits);
	unsigned delay_ms = interval_ms ? interval_ms : SETTING_LOOK_MS;
	struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};

	event_add(silence->timer, &delay);
}

/* The first that was seen to stand still for too long. */
static struct channel *silent_find(const struct mediator *mediator)
{
	struct channel *channel;

	LIST_FOREACH(channel, &mediator->channels, link)
	{
		if (channel->silence[0])
			return channel;
	}
	return NULL;
}

/* With all instances of the GPU that one of them is of: it is the GPU's driver. */
static uint32_t siblings_add(const struct probe *probe, uint32_t gpus)
{
	uint32_t all = gpus;

	for (unsigned gpu = 0; gpu < probe_device_count(probe); gpu++) {
		struct probe_device device = probe_device(probe, gpu);

		if (gpus >> gpu & 1)
			all |= probe_devices_of_gpu(probe, probe_device_gpu(&device));
	}
	return all;
}

/* Its number now: devices may have come and gone since it was placed. No bit: it is not among them any more. */
static uint32_t placed_gpu(const struct channel *channel)
{
	unsigned gpu =
		channel->gpu[0] ? probe_device_find(channel->mediator->probe, channel->gpu) : channel->request.gpu;

	return gpu < GPUS_MAX ? 1u << gpu : 0;
}

/*
 * Bits of this host's GPUs that it works with, as far as is known: all of them where it is in the driver before it had
 * any context, or where nobody has said yet what there is. None of a worker's: its executor is there.
 */
static uint32_t gpus_of(const struct channel *channel)
{
	const struct probe *probe = channel->mediator->probe;
	const struct hang_places *places = &channel->hang_places;
	uint32_t gpus = 0;

	if (worker_owns_gpu(channel->request.gpu))
		return 0;
	if (channel->is_placed)
		return siblings_add(probe, placed_gpu(channel));
	for (unsigned gpu = 0; gpu < probe_device_count(probe); gpu++) {
		for (unsigned i = 0; i < places->count; i++) {
			if (places->places[i] == probe_pci_place(probe, gpu))
				gpus |= 1u << gpu;
		}
	}
	return gpus ? siblings_add(probe, gpus) : UINT32_MAX;
}

static struct hang_look hang_prepare(const struct mediator *mediator, unsigned stuck_ms)
{
	struct hang_look look = {.now_ms = now_ms(), .limit_ms = stuck_ms};
	const struct channel *channel;

	for (unsigned gpu = 0; gpu < probe_device_count(mediator->probe); gpu++) {
		struct probe_device device = probe_device(mediator->probe, gpu);

		if (gpu_hangs_recently(&mediator->gpu_hangs, probe_device_gpu(&device), look.now_ms, stuck_ms))
			look.recent |= 1u << gpu;
	}
	LIST_FOREACH(channel, &mediator->channels, link)
	{
		if (channel->executor && hang_is_stuck(&look, &channel->standstill, channel->silenced_ms))
			hang_add(&look, channel->request.tenant, gpus_of(channel));
	}
	return look;
}

/* Each GPU once, by the lowest of its instances. 'seen': of them, those that were seen to hang now. */
static void hanging_note(struct mediator *mediator, uint32_t hanging, uint32_t seen)
{
	for (unsigned gpu = 0; gpu < probe_device_count(mediator->probe); gpu++) {
		struct probe_device device = probe_device(mediator->probe, gpu);
		uint32_t devices = probe_devices_of_gpu(mediator->probe, probe_device_gpu(&device));
		uint32_t siblings = hanging & devices;

		if (siblings && (unsigned)__builtin_ctz(siblings) == gpu)
			gpu_hangs_note(mediator, probe_device_gpu(&device), seen & devices ? now_ms() : 0);
	}
}

/* The channel may be freed on return. */
static void silent_end(struct channel *channel, const struct hang_look *look)
{
	char text[VGPU_CONTROL_TEXT_BYTES];
	uint32_t hanging = 0;
	uint32_t seen = 0;

	snprintf(text, sizeof(text), "the executor was %s", channel->silence);
	channel->silence[0] = '\0';
	channel->silenced_ms = look->now_ms;
	executor_process_kill(channel->executor, text);
	if (channel->stage != CHANNEL_READY)
		return;
	if (channel->standstill.kind == STANDSTILL_STUCK)
		hanging = hang_judge(look, channel->request.tenant, gpus_of(channel), &seen);
	hanging_note(channel->mediator, hanging, seen);
	channel_death_note(channel, !hanging, text);
	channel_die(channel, VGPU_ERROR_EXECUTOR_DIED, text);
}

static void silence_look(evutil_socket_t none, short what, void *argument)
{
	struct silence *silence = argument;
	struct mediator *mediator = silence->mediator;
	struct standstill_limits limits = limits_of(mediator);
	struct channel *channel;
	struct hang_look hang = {.now_ms = 0};

	(void)none;
	(void)what;
	LIST_FOREACH(channel, &mediator->channels, link)
	{
		/* What was seen of one that was ended and does not end stays as it was. */
		if (!channel->executor || channel->silenced_ms)
			continue;
		hang_places_look(&channel->hang_places, channel->counters.values);
		standstill_look(&channel->standstill, executor_process_pid(channel->executor), &limits, now_ms(),
				channel->silence);
	}
	if (silent_find(mediator))
		hang = hang_prepare(mediator, limits.stuck_ms);
	/* From the start each time: the end of one may close others. */
	while ((channel = silent_find(mediator)))
		silent_end(channel, &hang);
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
