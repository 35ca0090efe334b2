/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "executor_process.h"
#include "gpus.h"
#include "installation.h"
#include "line_reader.h"
#include "log.h"
#include "mediator.h"
#include "process.h"
#include "scheduler.h"

#define RETRY_SECONDS	  5
#define LIBRARY_BYTES	  sizeof(((struct vgpu_control_executor_start *)0)->driver_library)
#define REASON_BYTES	  320
#define CANDIDATES_MAX	  2
#define NVIDIA_LIBRARY	  "libcuda.so.1"
#define SOFTGPU_KEYWORD	  "softgpu"
#define DEVICE_LINE_BYTES 400

/* What a driver says of itself. */
struct driver_facts {
	unsigned driver_version;
	bool is_software;
	unsigned device_count;
	unsigned beyond_count; /* that there is no room for */
	char devices[GPUS_MAX][DEVICE_LINE_BYTES];
	uint32_t pci_places[GPUS_MAX]; /* UINT32_MAX: not known */
};

struct probe {
	struct process process;
	struct mediator *mediator;
	enum probe_state state;
	bool is_running; /* a child */
	bool restart;	 /* again when the child has ended */
	bool timed_out;
	bool is_native;	     /* NVIDIA's has worked with these settings: softgpu does not take its place any more */
	time_t begun;	     /* CLOCK_MONOTONIC, seconds */
	bool is_refused;     /* the driver works, but not as it has to */
	struct event *timer; /* the child's time is over, or it is time to try again */
	struct line_reader output;
	struct line_reader error;
	char candidates[CANDIDATES_MAX][LIBRARY_BYTES];
	unsigned candidate_count;
	unsigned candidate;
	char library[LIBRARY_BYTES]; /* the one that works */
	char reason[REASON_BYTES];
	char reason_logged[REASON_BYTES];
	bool has_new_settings;
	bool is_verifying;	    /* what is known stays, whatever comes of it */
	char doubt[REASON_BYTES];   /* of PROBE_READY: what the last look has found wrong, else "" */
	char refused[REASON_BYTES]; /* why softgpu has taken the place of NVIDIA's driver, else "" */
	char last_error[VGPU_CONTROL_TEXT_BYTES];
	struct driver_facts said; /* by the child, so far */
	struct driver_facts facts;
};

static void candidate_start(struct probe *probe);
static void probe_begin(struct probe *probe);

static void device_take(struct probe *probe, const char *line)
{
	struct driver_facts *said = &probe->said;
	unsigned index = said->device_count++;
	struct probe_device device;

	snprintf(said->devices[index], DEVICE_LINE_BYTES, "%s", line);
	said->pci_places[index] = probe_device_parse(said->devices[index], &device);
}

static void output_line(void *owner, const char *line)
{
	struct probe *probe = owner;

	if (strncmp(line, "driver_version=", 15) == 0)
		probe->said.driver_version = (unsigned)strtoul(line + 15, NULL, 10);
	else if (strncmp(line, "software=", 9) == 0)
		probe->said.is_software = line[9] == '1';
	else if (strncmp(line, "device=", 7) == 0 && probe->said.device_count < GPUS_MAX)
		device_take(probe, line);
	else if (strncmp(line, "device=", 7) == 0)
		probe->said.beyond_count++;
}

static void error_line(void *owner, const char *line)
{
	struct probe *probe = owner;

	log_text_copy(probe->last_error, sizeof(probe->last_error), line, strlen(line));
}

static void candidates_find(struct probe *probe)
{
	static const char *const softgpu_places[] = {
		"../../softgpu/driver/libsoftgpu.so.1", "../lib/vgpu/libsoftgpu.so.1",
		"../lib/x86_64-linux-gnu/vgpu/libsoftgpu.so.1", "../lib64/vgpu/libsoftgpu.so.1", NULL};
	const char *configured = probe->mediator->configuration.driver;
	char *softgpu = NULL;

	probe->candidate = 0;
	probe->candidate_count = 0;
	if ((!configured && !probe->is_native) || (configured && strcmp(configured, SOFTGPU_KEYWORD) == 0))
		softgpu = installation_file_find(softgpu_places);
	if (!configured)
		snprintf(probe->candidates[probe->candidate_count++], LIBRARY_BYTES, "%s", NVIDIA_LIBRARY);
	else if (strcmp(configured, SOFTGPU_KEYWORD) != 0 && strlen(configured) < LIBRARY_BYTES)
		snprintf(probe->candidates[probe->candidate_count++], LIBRARY_BYTES, "%s", configured);
	if (softgpu && strlen(softgpu) < LIBRARY_BYTES)
		snprintf(probe->candidates[probe->candidate_count++], LIBRARY_BYTES, "%s", softgpu);
	free(softgpu);
}

/*
 * Programs run by what is known, and some may start still: one GPU may have failed, or the host have no memory for the
 * child. The numbers of devices are theirs too.
 */
static void verification_failed(struct probe *probe, const char *why)
{
	struct timeval retry = {.tv_sec = RETRY_SECONDS};

	if (strcmp(probe->doubt, why) != 0) {
		log_error("CUDA does not work as it did: %s; looking again every %d seconds", why, RETRY_SECONDS);
		snprintf(probe->doubt, sizeof(probe->doubt), "%s", why);
	}
	event_add(probe->timer, &retry);
}

static void all_failed(struct probe *probe)
{
	struct timeval retry = {.tv_sec = RETRY_SECONDS};

	if (probe->is_verifying) {
		verification_failed(probe, probe->reason);
		return;
	}
	probe->state = PROBE_FAILED;
	if (strcmp(probe->reason, probe->reason_logged) != 0) {
		log_error("CUDA is not available: %s; trying again every %d seconds", probe->reason, RETRY_SECONDS);
		snprintf(probe->reason_logged, sizeof(probe->reason_logged), "%s", probe->reason);
	}
	event_add(probe->timer, &retry);
	channels_driver_known(probe->mediator);
}

static void candidate_failed(struct probe *probe, const char *why)
{
	const char *library = probe->candidates[probe->candidate];

	snprintf(probe->reason, sizeof(probe->reason), "%.160s: %.150s", library, why);
	if (++probe->candidate < probe->candidate_count) {
		log_info("Driver not usable: %s", probe->reason);
		candidate_start(probe);
	} else {
		all_failed(probe);
	}
}

static bool facts_are_same(const struct driver_facts *one, const struct driver_facts *other)
{
	bool are_same = one->driver_version == other->driver_version && one->is_software == other->is_software &&
			one->device_count == other->device_count;

	for (unsigned i = 0; are_same && i < one->device_count; i++)
		are_same = strcmp(one->devices[i], other->devices[i]) == 0;
	return are_same;
}

static void facts_log(const struct probe *probe)
{
	const struct driver_facts *facts = &probe->facts;

	log_info("CUDA initialized: driver version %u.%u (%s), library %s, %u devices", facts->driver_version / 1000,
		 facts->driver_version % 1000 / 10, facts->is_software ? "software" : "NVIDIA", probe->library,
		 facts->device_count);
	for (unsigned i = 0; i < facts->device_count; i++)
		log_info("CUDA %s", facts->devices[i]);
	if (facts->beyond_count)
		log_warning("CUDA has %u more devices, which are not used: %u is the most", facts->beyond_count,
			    GPUS_MAX);
}

/*
 * A tenant's kernel could take its executor over: such devices are not used unless the operator allows it. Nor is
 * another driver tried then, for nobody wants softgpu in the place of a GPU that has only to be set up.
 */
static bool devices_are_allowed(struct probe *probe)
{
	bool is_allowed = probe->mediator->configuration.allow_pageable_access;

	for (unsigned i = 0; i < probe->said.device_count; i++) {
		if (!probe_device_of_line(probe->said.devices[i]).reaches_host)
			continue;
		snprintf(probe->reason, sizeof(probe->reason),
			 "GPU %u: kernels reach all memory of their process; load nvidia-uvm with uvm_disable_hmm=1, "
			 "or set allow-pageable-access",
			 i);
		if (is_allowed)
			log_warning("GPU %u: kernels reach all memory of their process: a tenant may take its executor "
				    "over (setting allow-pageable-access)",
				    i);
		return is_allowed;
	}
	return true;
}

static void candidate_works(struct probe *probe)
{
	const char *library = probe->candidates[probe->candidate];
	/* Why the one before it was not used. */
	char refused[REASON_BYTES] = "";

	if (probe->candidate > 0)
		memcpy(refused, probe->reason, sizeof(refused));
	if (probe->is_verifying) {
		if (strcmp(probe->library, library) != 0 || !facts_are_same(&probe->facts, &probe->said)) {
			verification_failed(probe, "other devices than at the start: restart the mediator when no "
						   "programs run");
			return;
		}
		if (probe->doubt[0])
			log_info("CUDA works again");
		probe->doubt[0] = '\0';
		return;
	}
	if (!devices_are_allowed(probe)) {
		probe->is_refused = true;
		probe->facts = probe->said;
		all_failed(probe);
		return;
	}
	/* As before the settings changed. */
	if (probe->state == PROBE_READY && strcmp(probe->library, library) == 0 &&
	    facts_are_same(&probe->facts, &probe->said))
		return;
	snprintf(probe->library, sizeof(probe->library), "%s", library);
	probe->facts = probe->said;
	probe->state = PROBE_READY;
	probe->doubt[0] = '\0';
	probe->is_native = !probe->facts.is_software;
	probe->reason_logged[0] = '\0';
	memcpy(probe->refused, refused, sizeof(probe->refused));
	facts_log(probe);
	/* Nobody should have to find out by how slow it is. */
	if (probe->refused[0])
		log_warning(
			"NVIDIA's driver is not usable: programs compute on this host's processors (setting driver)");
	/* Only now is it known which GPU belongs to which pool, and so has its policy. */
	scheduler_settings_apply(probe->mediator);
	channels_driver_known(probe->mediator);
}

static void child_exited(struct process *process, int status)
{
	struct probe *probe = (struct probe *)process;
	char why[2 * VGPU_CONTROL_TEXT_BYTES];

	probe->is_running = false;
	event_del(probe->timer);
	line_reader_finish(&probe->output);
	line_reader_finish(&probe->error);
	if (probe->mediator->stopping)
		return;
	if (probe->restart) {
		probe_begin(probe);
	} else if (status == 0 && probe->said.device_count > 0) {
		candidate_works(probe);
	} else if (status == 0) {
		candidate_failed(probe, "it has no devices");
	} else if (probe->timed_out) {
		candidate_failed(probe, "it did not answer in time");
	} else if (probe->last_error[0]) {
		candidate_failed(probe, probe->last_error);
	} else {
		process_status_describe(status, why, sizeof(why));
		candidate_failed(probe, why);
	}
}

_Static_assert(offsetof(struct probe, process) == 0, "child_exited casts");

/* 0, or -1 with errno. */
static int child_start(struct probe *probe)
{
	char *path = executor_path_find(probe->mediator);
	char option[] = "--probe";
	char *arguments[] = {path, option, probe->candidates[probe->candidate], NULL};
	struct process_plan plan = {.path = path, .arguments = arguments, .output = -1, .error = -1, .control = -1};
	int error = 0;

	if (!path || line_reader_open(probe->mediator, &probe->output, &plan.output) < 0 ||
	    line_reader_open(probe->mediator, &probe->error, &plan.error) < 0 ||
	    process_start(probe->mediator, &plan, &probe->process) < 0)
		error = errno;
	if (plan.output >= 0)
		close(plan.output);
	if (plan.error >= 0)
		close(plan.error);
	free(path);
	if (error) {
		line_reader_close(&probe->output);
		line_reader_close(&probe->error);
		errno = error;
		return -1;
	}
	return 0;
}

static void candidate_start(struct probe *probe)
{
	struct timeval patience = {.tv_sec = probe->mediator->configuration.probe_seconds};

	probe->timed_out = false;
	probe->is_refused = false;
	probe->last_error[0] = '\0';
	memset(&probe->said, 0, sizeof(probe->said));
	if (child_start(probe) < 0) {
		/* Of no use to try the next library: the program is missing, or the host has no memory. */
		snprintf(probe->reason, sizeof(probe->reason), "cuda-executor cannot be started: %s", strerror(errno));
		all_failed(probe);
		return;
	}
	probe->is_running = true;
	event_add(probe->timer, &patience);
}

static void timer_fired(evutil_socket_t none, short what, void *argument)
{
	struct probe *probe = argument;

	(void)none;
	(void)what;
	if (probe->is_running) {
		probe->timed_out = true;
		process_signal(&probe->process, SIGKILL);
	} else {
		probe_begin(probe);
	}
}

struct probe *probe_create(struct mediator *mediator)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	if (!probe)
		return NULL;
	probe->process.exited = child_exited;
	probe->mediator = mediator;
	probe->state = PROBE_RUNNING;
	probe->output = (struct line_reader){.output = -1, .line = output_line, .owner = probe};
	probe->error = (struct line_reader){.output = -1, .line = error_line, .owner = probe};
	probe->timer = evtimer_new(mediator->base, timer_fired, probe);
	if (!probe->timer) {
		free(probe);
		return NULL;
	}
	return probe;
}

static time_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void probe_begin(struct probe *probe)
{
	probe->restart = probe->is_running;
	if (probe->is_running) {
		process_signal(&probe->process, SIGKILL);
		return;
	}
	probe->begun = seconds_now();
	probe->is_verifying = probe->state == PROBE_READY && !probe->has_new_settings;
	probe->has_new_settings = false;
	event_del(probe->timer);
	candidates_find(probe);
	if (probe->candidate_count == 0) {
		snprintf(probe->reason, sizeof(probe->reason), "softgpu is not installed beside the mediator");
		all_failed(probe);
		return;
	}
	candidate_start(probe);
}

void probe_restart(struct probe *probe)
{
	probe->is_native = false;
	probe->has_new_settings = true;
	probe_begin(probe);
}

void probe_verify(struct probe *probe)
{
	/* One that failed tries again by itself. */
	if (probe->state == PROBE_READY && !probe->is_running && seconds_now() - probe->begun >= RETRY_SECONDS)
		probe_begin(probe);
}

void probe_destroy(struct probe *probe)
{
	if (!probe)
		return;
	if (probe->is_running) {
		LIST_REMOVE(&probe->process, link);
		process_signal(&probe->process, SIGKILL);
	}
	line_reader_close(&probe->output);
	line_reader_close(&probe->error);
	event_free(probe->timer);
	free(probe);
}

enum probe_state probe_state(const struct probe *probe)
{
	return probe->state;
}

const char *probe_driver_library(const struct probe *probe)
{
	return probe->library;
}

const char *probe_doubt(const struct probe *probe)
{
	return probe->doubt;
}

const char *probe_refused(const struct probe *probe)
{
	return probe->refused;
}

const char *probe_reason(const struct probe *probe)
{
	return probe->reason;
}

unsigned probe_device_count(const struct probe *probe)
{
	return probe->state == PROBE_READY ? probe->facts.device_count : 0;
}

unsigned probe_device_count_seen(const struct probe *probe)
{
	return probe->is_refused ? probe->facts.device_count : probe_device_count(probe);
}

unsigned probe_device_count_beyond(const struct probe *probe)
{
	return probe->state == PROBE_READY ? probe->facts.beyond_count : 0;
}

uint32_t probe_devices_of_gpu(const struct probe *probe, const char *uuid)
{
	uint32_t devices = 0;

	for (unsigned i = 0; i < probe_device_count_seen(probe); i++) {
		struct probe_device device = probe_device(probe, i);

		if (strcmp(probe_device_gpu(&device), uuid) == 0)
			devices |= 1u << i;
	}
	return devices;
}

unsigned probe_device_find(const struct probe *probe, const char *uuid)
{
	for (unsigned i = 0; i < probe_device_count(probe); i++) {
		if (strcmp(probe_device(probe, i).uuid, uuid) == 0)
			return i;
	}
	return UINT_MAX;
}

uint32_t probe_pci_place(const struct probe *probe, unsigned index)
{
	return probe->facts.pci_places[index];
}

struct probe_device probe_device(const struct probe *probe, unsigned index)
{
	return probe_device_of_line(probe->facts.devices[index]);
}
