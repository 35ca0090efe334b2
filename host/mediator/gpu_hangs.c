/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu_hangs.h"

#include <event2/buffer.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "channel.h"
#include "gpu_name.h"
#include "log.h"
#include "mediator.h"
#include "metrics_private.h"
#include "probe.h"
#include "tenant.h"
#include "worker.h"

#define HANG_TEXT "executors of several tenants were stuck in its driver"
/* Within which two tenants' have to say it, where this host's own executors may be stuck: as workers usually have it.
 */
#define TOLD_SECONDS 120u

/* NULL: it has no entry. */
static struct gpu_hang *hang_find(const struct gpu_hangs *hangs, const char *worker, const char *uuid)
{
	for (unsigned i = 0; i < hangs->count; i++) {
		if (strcmp(hangs->gpus[i].uuid, uuid) == 0 && strcmp(hangs->gpus[i].worker, worker) == 0)
			return (struct gpu_hang *)(uintptr_t)&hangs->gpus[i];
	}
	return NULL;
}

static bool is_marked(const struct gpu_hangs *hangs, const char *uuid)
{
	const struct gpu_hang *hang = hang_find(hangs, "", uuid);

	return hang && hang->is_marked;
}

/*
 * A new one: in the place of the one that hung longest ago, where devices were changed that often. Those of workers
 * take none from this host's.
 */
static struct gpu_hang *hang_make(struct gpu_hangs *hangs, bool is_workers)
{
	unsigned most = is_workers ? GPU_HANGS_MAX - GPUS_MAX : GPUS_MAX;
	struct gpu_hang *oldest = NULL;
	unsigned count = 0;

	for (unsigned i = 0; i < hangs->count; i++) {
		struct gpu_hang *hang = &hangs->gpus[i];

		if ((hang->worker[0] != '\0') != is_workers)
			continue;
		count++;
		if (!oldest || hang->noted_ms < oldest->noted_ms)
			oldest = hang;
	}
	return count < most ? &hangs->gpus[hangs->count++] : oldest;
}

/* Its entry, with one more counted. */
static struct gpu_hang *hang_count(struct gpu_hangs *hangs, const char *worker, const char *uuid)
{
	struct gpu_hang *hang = hang_find(hangs, worker, uuid);

	if (!hang) {
		hang = hang_make(hangs, worker[0] != '\0');
		*hang = (struct gpu_hang){.uuid = ""};
		snprintf(hang->worker, sizeof(hang->worker), "%s", worker);
		snprintf(hang->uuid, sizeof(hang->uuid), "%s", uuid);
	}
	hang->count++;
	return hang;
}

static void hang_mark(const struct mediator *mediator, struct gpu_hang *hang)
{
	char name[WORKER_GPU_NAME_BYTES];

	if (hang->is_marked)
		return;
	hang->is_marked = true;
	gpu_name_find(mediator, hang->worker, hang->uuid, name);
	log_error("[GPU] GPU %s: " HANG_TEXT " (vgpu-admin clear-gpu)", name);
}

void gpu_hangs_note(struct mediator *mediator, const char *uuid, uint64_t seen_ms)
{
	struct gpu_hang *hang = hang_count(&mediator->gpu_hangs, "", uuid);

	if (seen_ms)
		hang->noted_ms = seen_ms;
	hang_mark(mediator, hang);
}

/* Bits of the worker's GPUs that the channel's executor uses, as it says there. */
static uint32_t worker_gpus_of(const struct channel *channel)
{
	const volatile struct vgpu_executor_device *devices = channel->counters.values->devices;
	uint32_t gpus = 0;

	for (unsigned i = 0; i < VGPU_COUNTED_DEVICES; i++) {
		if (devices[i].contexts)
			gpus |= worker_watch_gpus_at(channel->mediator, channel->request.gpu, devices[i].pci_place);
	}
	return gpus;
}

/* A worker's, as a relay of that channel says, which its tenant may have taken over: another tenant's has to say it. */
static void told_note(const struct channel *channel, const char *worker, const char *uuid, uint64_t now_ms)
{
	struct mediator *mediator = channel->mediator;
	unsigned seconds = mediator->configuration.executor_stuck_seconds;
	uint64_t within_ms = (seconds ? seconds : TOLD_SECONDS) * UINT64_C(1000);
	struct gpu_hang *hang = hang_count(&mediator->gpu_hangs, worker, uuid);
	const char *tenant = channel->request.tenant->name;
	bool is_told = hang->teller[0] && strcmp(hang->teller, tenant) != 0 && now_ms - hang->noted_ms <= within_ms;
	char name[WORKER_GPU_NAME_BYTES];

	snprintf(hang->teller, sizeof(hang->teller), "%s", tenant);
	hang->noted_ms = now_ms;
	if (is_told) {
		hang_mark(mediator, hang);
		return;
	}
	gpu_name_find(mediator, worker, uuid, name);
	log_write_limited(&channel->request.log->events, LOG_LEVEL_WARNING,
			  "[GPU] %s: its worker says that GPU %s hangs, of no other tenant's yet", channel->label,
			  name);
}

void gpu_hangs_worker_note(const struct channel *channel, uint32_t pci_place)
{
	struct mediator *mediator = channel->mediator;
	unsigned gpu = channel->request.gpu;
	char pool;
	const char *worker = worker_of_gpu(mediator, gpu, &pool);
	uint32_t place_gpus = worker_watch_gpus_at(mediator, gpu, pci_place);
	uint32_t hanging = place_gpus ? place_gpus : worker_gpus_of(channel);
	struct timespec clock;

	/* It is none of ours any more, and nobody asks for its GPUs. */
	if (!worker)
		return;
	clock_gettime(CLOCK_MONOTONIC, &clock);
	for (unsigned i = 0; i < worker_watch_gpu_count(mediator, worker); i++) {
		if (!hanging || hanging >> i & 1)
			told_note(channel, worker, worker_watch_uuid(mediator, gpu, i),
				  (uint64_t)clock.tv_sec * 1000 + (uint64_t)clock.tv_nsec / 1000000);
	}
}

bool gpu_hangs_recently(const struct gpu_hangs *hangs, const char *uuid, uint64_t now_ms, uint64_t within_ms)
{
	const struct gpu_hang *hang = hang_find(hangs, "", uuid);

	return hang && hang->is_marked && now_ms - hang->noted_ms <= within_ms;
}

bool gpu_hangs_clear(struct gpu_hangs *hangs, const char *uuid)
{
	if (!is_marked(hangs, uuid))
		return false;
	hang_find(hangs, "", uuid)->is_marked = false;
	return true;
}

bool gpu_hangs_worker_clear(struct mediator *mediator, const char *name)
{
	struct gpu_hangs *hangs = &mediator->gpu_hangs;

	for (unsigned i = 0; i < hangs->count; i++) {
		char own[WORKER_GPU_NAME_BYTES];

		gpu_name_find(mediator, hangs->gpus[i].worker, hangs->gpus[i].uuid, own);
		if (!hangs->gpus[i].worker[0] || !hangs->gpus[i].is_marked || strcmp(own, name) != 0)
			continue;
		hangs->gpus[i].is_marked = false;
		hangs->gpus[i].teller[0] = '\0';
		return true;
	}
	return false;
}

/* Is it one that there is now? */
static bool is_present(const struct mediator *mediator, const struct gpu_hang *hang)
{
	return hang->worker[0] ? worker_watch_index_of_uuid(mediator, hang->worker, hang->uuid) != UINT_MAX
			       : probe_devices_of_gpu(mediator->probe, hang->uuid) != 0;
}

void gpu_hangs_describe(const struct gpu_hangs *hangs, const char *uuid, char *text, size_t bytes)
{
	snprintf(text, bytes, "%s", is_marked(hangs, uuid) ? HANG_TEXT : "");
}

bool gpu_hangs_look(const struct mediator *mediator, char *text, size_t bytes)
{
	const struct gpu_hangs *hangs = &mediator->gpu_hangs;
	char name[WORKER_GPU_NAME_BYTES];
	size_t used = 0;

	for (unsigned i = 0; i < hangs->count && used < bytes; i++) {
		if (!hangs->gpus[i].is_marked || !is_present(mediator, &hangs->gpus[i]))
			continue;
		gpu_name_find(mediator, hangs->gpus[i].worker, hangs->gpus[i].uuid, name);
		used += (size_t)snprintf(text + used, bytes - used, "%sGPU %s: " HANG_TEXT, used ? "; " : "", name);
	}
	return !used;
}

void gpu_hangs_write(const struct mediator *mediator, struct evbuffer *output)
{
	const struct gpu_hangs *hangs = &mediator->gpu_hangs;
	char name[WORKER_GPU_NAME_BYTES];
	char gpu[METRICS_LABEL_BYTES];
	char uuid[METRICS_LABEL_BYTES];

	metrics_head(output, "vgpu_gpu_hangs_total", "counter",
		     "Executors that were ended because those of several tenants were stuck in the GPU's driver.");
	for (unsigned i = 0; i < hangs->count; i++) {
		gpu_name_find(mediator, hangs->gpus[i].worker, hangs->gpus[i].uuid, name);
		metrics_label(gpu, sizeof(gpu), name);
		metrics_label(uuid, sizeof(uuid), hangs->gpus[i].uuid);
		/* The number may be another GPU's after a reload. */
		evbuffer_add_printf(output, "vgpu_gpu_hangs_total{gpu=\"%s\",uuid=\"%s\"} %llu\n", gpu, uuid,
				    (unsigned long long)hangs->gpus[i].count);
	}
}
