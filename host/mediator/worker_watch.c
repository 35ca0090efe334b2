/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_watch.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gpu_events.h"
#include "gpus.h"
#include "line_reader.h"
#include "log.h"
#include "mediator.h"
#include "probe.h"
#include "process.h"
#include "scheduler.h"
#include "sensors.h"
#include "worker.h"

#define ADDRESS_BYTES	    256
#define UUID_BYTES	    64
#define REASON_BYTES	    200
#define AGAIN_SECONDS	    2
#define SENSORS_SECONDS_MAX 60

struct worker_gpus {
	unsigned count;
	unsigned beyond_count;	       /* that there is no room for */
	uint32_t pci_places[GPUS_MAX]; /* UINT32_MAX: not known */
	char uuids[GPUS_MAX][UUID_BYTES];
};

enum watch_state { WATCH_STARTING, WATCH_UP, WATCH_DOWN };

struct worker_watch {
	struct process process;
	LIST_ENTRY(worker_watch) link;
	struct mediator *mediator;
	char address[ADDRESS_BYTES];
	unsigned gpu; /* worker_gpu() */
	enum watch_state state;
	bool is_running;
	bool is_wanted; /* else it is freed when its process has ended */
	struct event *again;
	struct line_reader output;
	struct line_reader error;
	struct worker_gpus gpus; /* as last said, also of one that is down: programs may go on there */
	struct worker_gpus said; /* that are being listed */
	struct sensors_gpu sensors[GPUS_MAX];
	unsigned sensors_count;
	time_t sensors_told;			   /* CLOCK_MONOTONIC, seconds */
	struct sensors_gpu sensors_said[GPUS_MAX]; /* that are being told */
	unsigned sensors_said_count;
	char reason[REASON_BYTES];
	char reason_logged[REASON_BYTES];
	struct log_limit log_limit;
};

static struct worker_watch *watch_find(const struct mediator *mediator, unsigned gpu)
{
	struct worker_watch *watch;

	LIST_FOREACH(watch, &mediator->worker_watches, link)
	{
		if (watch->gpu == (gpu & ~(GPUS_MAX - 1)))
			return watch;
	}
	return NULL;
}

static void up_note(struct worker_watch *watch)
{
	log_info("[WORKER] %s: it has %u GPUs", watch->address, watch->gpus.count);
	if (watch->gpus.beyond_count)
		log_warning("[WORKER] %s: it has %u more GPUs, without schedulers of their own: %u is the most",
			    watch->address, watch->gpus.beyond_count, GPUS_MAX);
	watch->state = WATCH_UP;
	watch->reason_logged[0] = '\0';
	worker_failure_forget(watch->mediator, watch->gpu);
	/* Programs that use the others than its first GPU are there already. */
	scheduler_settings_apply(watch->mediator);
}

static time_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Of a GPU that the worker has listed, once: no worker makes others' metrics unreadable. */
static bool sensors_are_wanted(const struct worker_watch *watch, const char *uuid)
{
	for (unsigned i = 0; i < watch->sensors_said_count; i++) {
		if (strcmp(watch->sensors_said[i].uuid, uuid) == 0)
			return false;
	}
	return worker_watch_index_of_uuid(watch->mediator, watch->address, uuid) != UINT_MAX;
}

/* A round of them, and then its end. */
static void sensors_take(struct worker_watch *watch, const char *line)
{
	struct sensors_gpu *gpu = &watch->sensors_said[watch->sensors_said_count];

	if (strcmp(line, WORKER_SENSORS_END) == 0) {
		memcpy(watch->sensors, watch->sensors_said, sizeof(watch->sensors));
		watch->sensors_count = watch->sensors_said_count;
		watch->sensors_said_count = 0;
		watch->sensors_told = seconds_now();
	} else if (watch->sensors_said_count < GPUS_MAX && sensors_line_parse(line, gpu) &&
		   sensors_are_wanted(watch, gpu->uuid)) {
		watch->sensors_said_count++;
	}
}

static void output_line(void *owner, const char *line)
{
	struct worker_watch *watch = owner;
	size_t prefix = strlen(WORKER_SENSORS_PREFIX);
	struct worker_gpus *said = &watch->said;
	struct probe_device device;

	if (strncmp(line, "driver_version=", 15) == 0) {
		said->count = said->beyond_count = 0;
	} else if (strncmp(line, "device=", 7) == 0 && said->count < GPUS_MAX) {
		said->pci_places[said->count] = probe_device_parse(line, &device);
		snprintf(said->uuids[said->count++], UUID_BYTES, "%s", device.uuid);
	} else if (strncmp(line, "device=", 7) == 0) {
		said->beyond_count++;
	} else if (strcmp(line, "ready") == 0 && watch->state != WATCH_UP) {
		/* Once for a connection: what follows costs all tenants time. */
		watch->gpus = *said;
		up_note(watch);
	} else if (strncmp(line, WORKER_SENSORS_PREFIX, prefix) == 0) {
		sensors_take(watch, line + prefix);
	} else if (strncmp(line, "uuid=", 5) == 0) {
		gpu_events_take(watch->mediator->gpu_events, watch->address, line);
	}
}

static void error_line(void *owner, const char *line)
{
	struct worker_watch *watch = owner;

	log_text_copy(watch->reason, sizeof(watch->reason), line, strlen(line));
}

static void watch_free(struct worker_watch *watch)
{
	line_reader_close(&watch->output);
	line_reader_close(&watch->error);
	if (watch->again)
		event_free(watch->again);
	free(watch);
}

static void down_note(struct worker_watch *watch)
{
	const struct timeval again = {.tv_sec = AGAIN_SECONDS};

	watch->state = WATCH_DOWN;
	watch->sensors_count = watch->sensors_said_count = 0;
	/* Each reason once, as long as it lasts. */
	if (strcmp(watch->reason, watch->reason_logged) != 0) {
		log_write_limited(&watch->log_limit, LOG_LEVEL_WARNING, "[WORKER] %s: %s", watch->address,
				  watch->reason);
		snprintf(watch->reason_logged, sizeof(watch->reason_logged), "%s", watch->reason);
	}
	event_add(watch->again, &again);
}

static void child_exited(struct process *process, int status)
{
	struct worker_watch *watch = (struct worker_watch *)process;

	watch->is_running = false;
	line_reader_finish(&watch->output);
	line_reader_finish(&watch->error);
	if (!watch->is_wanted) {
		LIST_REMOVE(watch, link);
		watch_free(watch);
		return;
	}
	if (watch->mediator->stopping)
		return;
	if (!watch->reason[0])
		process_status_describe(status, watch->reason, sizeof(watch->reason));
	down_note(watch);
}

_Static_assert(offsetof(struct worker_watch, process) == 0, "child_exited casts");

/* 0, or -1 with errno. */
static int child_start(struct worker_watch *watch)
{
	struct mediator *mediator = watch->mediator;
	char silence[16];
	char option[] = "watch";
	char with_sensors[] = "sensors";
	char *path = worker_relay_find(mediator);
	char *arguments[] = {path, watch->address, silence, option, mediator->sensors ? with_sensors : NULL, NULL};
	struct process_plan plan = {.path = path, .arguments = arguments, .output = -1, .error = -1, .control = -1};
	int error = 0;

	snprintf(silence, sizeof(silence), "%u", mediator->configuration.worker_silence_ms);
	plan.control = worker_credentials_open(mediator);
	if (!path || plan.control < 0 || line_reader_open(mediator, &watch->output, &plan.output) < 0 ||
	    line_reader_open(mediator, &watch->error, &plan.error) < 0 ||
	    process_start(mediator, &plan, &watch->process) < 0)
		error = errno;
	if (plan.output >= 0)
		close(plan.output);
	if (plan.error >= 0)
		close(plan.error);
	if (plan.control >= 0)
		close(plan.control);
	free(path);
	if (!error)
		return 0;
	line_reader_close(&watch->output);
	line_reader_close(&watch->error);
	errno = error;
	return -1;
}

static void watch_start(struct worker_watch *watch)
{
	watch->reason[0] = '\0';
	watch->said.count = 0;
	watch->is_running = child_start(watch) == 0;
	if (watch->is_running)
		return;
	snprintf(watch->reason, sizeof(watch->reason), "it cannot be watched: vgpu-relay, or the credentials: %s",
		 strerror(errno));
	down_note(watch);
}

static void again_fired(evutil_socket_t none, short what, void *argument)
{
	struct worker_watch *watch = argument;

	(void)none;
	(void)what;
	if (!watch->is_running && !watch->mediator->stopping)
		watch_start(watch);
}

static void watch_create(struct mediator *mediator, const char *address)
{
	struct worker_watch *watch = calloc(1, sizeof(*watch));
	struct event *again = evtimer_new(mediator->base, again_fired, watch);

	if (!watch || !again) {
		log_error("[WORKER] %s: out of memory: it is not watched", address);
		free(watch);
		if (again)
			event_free(again);
		return;
	}
	watch->process.exited = child_exited;
	watch->process.handle = -1;
	watch->mediator = mediator;
	snprintf(watch->address, sizeof(watch->address), "%s", address);
	watch->gpu = worker_gpu(address);
	watch->is_wanted = true;
	watch->again = again;
	watch->output = (struct line_reader){.output = -1, .line = output_line, .owner = watch};
	watch->error = (struct line_reader){.output = -1, .line = error_line, .owner = watch};
	watch->log_limit = (struct log_limit)LOG_LIMIT(0.2, 20);
	LIST_INSERT_HEAD(&mediator->worker_watches, watch, link);
	watch_start(watch);
}

void worker_watches_apply(struct mediator *mediator)
{
	const struct configuration_list *workers = &mediator->configuration.workers;
	struct worker_watch *watch = LIST_FIRST(&mediator->worker_watches);

	while (watch) {
		struct worker_watch *next = LIST_NEXT(watch, link);

		watch->is_wanted = false;
		for (size_t i = 0; i < workers->count; i++)
			watch->is_wanted |= strcmp(workers->values[i] + 2, watch->address) == 0;
		if (!watch->is_wanted && watch->is_running) {
			process_signal(&watch->process, SIGKILL);
		} else if (!watch->is_wanted) {
			LIST_REMOVE(watch, link);
			watch_free(watch);
		}
		watch = next;
	}
	for (size_t i = 0; i < workers->count; i++) {
		if (!watch_find(mediator, worker_gpu(workers->values[i] + 2)))
			watch_create(mediator, workers->values[i] + 2);
	}
}

void worker_watches_destroy(struct mediator *mediator)
{
	struct worker_watch *watch;

	while ((watch = LIST_FIRST(&mediator->worker_watches))) {
		LIST_REMOVE(watch, link);
		if (watch->is_running) {
			LIST_REMOVE(&watch->process, link);
			process_signal(&watch->process, SIGKILL);
		}
		watch_free(watch);
	}
}

bool worker_watch_is_down(const struct mediator *mediator, unsigned gpu)
{
	const struct worker_watch *watch = watch_find(mediator, gpu);

	return watch && watch->state == WATCH_DOWN;
}

bool worker_watches_look(const struct mediator *mediator, char *text, size_t bytes)
{
	const struct worker_watch *watch;
	unsigned count = 0;
	unsigned beyond_count = 0;
	size_t used = 0;

	LIST_FOREACH(watch, &mediator->worker_watches, link)
	{
		count++;
		beyond_count += watch->gpus.beyond_count;
		if (watch->state == WATCH_UP || used >= bytes)
			continue;
		used += (size_t)snprintf(text + used, bytes - used, "%s%s: %s", used ? "; " : "", watch->address,
					 watch->state == WATCH_DOWN ? watch->reason
								    : "it has not said which GPUs it has");
	}
	if (used)
		return false;
	used = (size_t)snprintf(text, bytes, "%u of %u are there", count, count);
	if (beyond_count && used < bytes)
		snprintf(text + used, bytes - used, "; %u of their GPUs have no schedulers of their own", beyond_count);
	return true;
}

unsigned worker_watch_gpu_count(const struct mediator *mediator, const char *worker)
{
	const struct worker_watch *watch = watch_find(mediator, worker_gpu(worker));

	return watch ? watch->gpus.count : 0;
}

unsigned worker_watch_index(const struct mediator *mediator, unsigned gpu, uint32_t pci_place)
{
	const struct worker_watch *watch = watch_find(mediator, gpu);

	for (unsigned i = 0; watch && i < watch->gpus.count; i++) {
		if (watch->gpus.pci_places[i] == pci_place)
			return i;
	}
	return UINT_MAX;
}

uint32_t worker_watch_gpus_at(const struct mediator *mediator, unsigned gpu, uint32_t pci_place)
{
	const struct worker_watch *watch = watch_find(mediator, gpu);
	uint32_t gpus = 0;

	/* One whose place is not known is not where another's is not known. */
	if (pci_place == UINT32_MAX)
		return 0;
	for (unsigned i = 0; watch && i < watch->gpus.count; i++) {
		if (watch->gpus.pci_places[i] == pci_place)
			gpus |= 1u << i;
	}
	return gpus;
}

const char *worker_watch_uuid(const struct mediator *mediator, unsigned gpu, unsigned index)
{
	const struct worker_watch *watch = watch_find(mediator, gpu);

	return watch && index < watch->gpus.count ? watch->gpus.uuids[index] : "";
}

unsigned worker_watch_index_of_uuid(const struct mediator *mediator, const char *worker, const char *uuid)
{
	const struct worker_watch *watch = watch_find(mediator, worker_gpu(worker));

	for (unsigned i = 0; watch && i < watch->gpus.count; i++) {
		if (strcmp(watch->gpus.uuids[i], uuid) == 0)
			return i;
	}
	return UINT_MAX;
}

const struct worker_watch *worker_watch_sensors_next(const struct mediator *mediator, const struct worker_watch *watch,
						     struct worker_watch_sensors *ret_sensors)
{
	watch = watch ? LIST_NEXT(watch, link) : LIST_FIRST(&mediator->worker_watches);
	if (watch)
		*ret_sensors = (struct worker_watch_sensors){.worker = watch->address, .gpus = watch->sensors};
	/* What is not known now is not what it was. */
	if (watch && seconds_now() - watch->sensors_told <= SENSORS_SECONDS_MAX)
		ret_sensors->count = watch->sensors_count;
	return watch;
}

void worker_gpu_name(const char *worker, unsigned index, char name[WORKER_GPU_NAME_BYTES])
{
	if (index)
		snprintf(name, WORKER_GPU_NAME_BYTES, "%s#%u", worker, index);
	else
		snprintf(name, WORKER_GPU_NAME_BYTES, "%s", worker);
}
