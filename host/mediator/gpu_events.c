/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu_events.h"

#include <errno.h>
#include <event2/buffer.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executor_process.h"
#include "gpu_name.h"
#include "gpus.h"
#include "line_reader.h"
#include "log.h"
#include "mediator.h"
#include "metrics_private.h"
#include "probe.h"
#include "process.h"
#include "worker_watch.h"

#define KNOWN_MAX    128 /* GPUS_MAX of them for this host's alone */
#define XIDS	     256 /* all that are known are less */
#define UUID_BYTES   96
#define WORKER_BYTES 256

#define XID_DOUBLE_BIT_ECC 48

/*
 * NVIDIA, "Xid Errors" (docs.nvidia.com/deploy/xid-errors). Most others are errors of programs, which their guests can
 * cause. After 63 and 94 the GPU can still be used: "GPU Memory Error Management", docs.nvidia.com/deploy/
 * a100-gpu-mem-error-mgmt.
 */
static const struct fault {
	unsigned xid;
	bool is_fatal; /* programs are kept away */
	const char *text;
} faults[] = {
	{XID_DOUBLE_BIT_ECC, true, "double-bit ECC error"},
	{63, false, "memory to be replaced at the next reset"},
	{64, true, "faulty memory cannot be replaced"},
	{74, true, "NVLink error"},
	{79, true, "it has fallen off the bus"},
	{94, false, "contained memory error"},
	{95, true, "uncontained memory error"},
	{119, true, "its system processor does not answer"},
	{120, true, "its system processor has failed"},
};

struct gpu {
	char uuid[UUID_BYTES];
	char worker[WORKER_BYTES]; /* empty: it is this host's */
	uint64_t counts[XIDS];
	const struct fault *fault; /* the first one, or the first fatal one; NULL: none */
};

struct gpu_events {
	struct process process;
	struct mediator *mediator;
	bool is_running;
	struct line_reader output;
	struct line_reader error;
	struct log_limit log_limit;
	struct gpu gpus[KNOWN_MAX]; /* that had errors */
	unsigned count;
};

static const struct gpu *gpu_find(const struct gpu_events *events, const char *worker, const char *uuid)
{
	for (unsigned i = 0; events && i < events->count; i++) {
		if (strcmp(events->gpus[i].uuid, uuid) == 0 && strcmp(events->gpus[i].worker, worker) == 0)
			return &events->gpus[i];
	}
	return NULL;
}

/* NULL: there are too many. */
static struct gpu *gpu_make(struct gpu_events *events, const char *worker, const char *uuid)
{
	struct gpu *gpu = (struct gpu *)(uintptr_t)gpu_find(events, worker, uuid);

	if (gpu || events->count == KNOWN_MAX)
		return gpu;
	/* A worker has the GPUs that it has listed, and those of all workers leave room for this host's. */
	if (worker[0] && (events->count >= KNOWN_MAX - GPUS_MAX ||
			  worker_watch_index_of_uuid(events->mediator, worker, uuid) == UINT_MAX))
		return NULL;
	gpu = &events->gpus[events->count++];
	snprintf(gpu->uuid, sizeof(gpu->uuid), "%s", uuid);
	snprintf(gpu->worker, sizeof(gpu->worker), "%s", worker);
	return gpu;
}

static const struct fault *fault_find(unsigned xid)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		if (faults[i].xid == xid)
			return &faults[i];
	}
	return NULL;
}

static void event_take(struct gpu_events *events, struct gpu *gpu, const char *what, const struct fault *fault)
{
	char name[WORKER_GPU_NAME_BYTES];
	bool is_new = fault && (!gpu->fault || (fault->is_fatal && !gpu->fault->is_fatal));

	gpu_name_find(events->mediator, gpu->worker, gpu->uuid, name);
	if (is_new)
		gpu->fault = fault;
	/* Guests can cause as many of the others as they like. */
	if (is_new)
		log_error("[GPU] GPU %s (%s): %s: %s%s", name, gpu->uuid, what, fault->text,
			  fault->is_fatal ? "; no more programs are started on it (vgpu-admin clear-gpu)" : "");
	else
		log_write_limited(&events->log_limit, LOG_LEVEL_WARNING, "[GPU] GPU %s (%s): %s", name, gpu->uuid,
				  what);
}

void gpu_events_take(struct gpu_events *events, const char *worker, const char *line)
{
	char uuid[UUID_BYTES];
	char what[32];
	struct gpu *gpu;
	unsigned xid;

	if (!events)
		return;
	if (sscanf(line, "uuid=%95s xid=%u", uuid, &xid) == 2 && xid < XIDS && (gpu = gpu_make(events, worker, uuid))) {
		gpu->counts[xid]++;
		snprintf(what, sizeof(what), "Xid %u", xid);
		event_take(events, gpu, what, fault_find(xid));
	} else if (sscanf(line, "uuid=%95s ecc=%u", uuid, &xid) == 2 && (gpu = gpu_make(events, worker, uuid))) {
		event_take(events, gpu, "ECC", fault_find(XID_DOUBLE_BIT_ECC));
	} else {
		log_write_limited(&events->log_limit, LOG_LEVEL_WARNING, "[GPU] %s", line);
	}
}

static void output_line(void *owner, const char *line)
{
	gpu_events_take(owner, "", line);
}

static void error_line(void *owner, const char *line)
{
	struct gpu_events *events = owner;

	log_write_limited(&events->log_limit, LOG_LEVEL_WARNING, "[GPU] %s", line);
}

static void child_exited(struct process *process, int status)
{
	struct gpu_events *events = (struct gpu_events *)process;
	char how[128];

	events->is_running = false;
	line_reader_finish(&events->output);
	line_reader_finish(&events->error);
	if (status == 0)
		return;
	process_status_describe(status, how, sizeof(how));
	log_write_limited(&events->log_limit, LOG_LEVEL_WARNING, "[GPU] the process that waits for errors %s", how);
}

_Static_assert(offsetof(struct gpu_events, process) == 0, "child_exited casts");

struct gpu_events *gpu_events_create(struct mediator *mediator)
{
	struct gpu_events *events = calloc(1, sizeof(*events));

	if (!events)
		return NULL;
	events->process.exited = child_exited;
	events->mediator = mediator;
	events->log_limit = (struct log_limit)LOG_LIMIT(0.2, 20);
	events->output = (struct line_reader){.output = -1, .line = output_line, .owner = events};
	events->error = (struct line_reader){.output = -1, .line = error_line, .owner = events};
	return events;
}

void gpu_events_destroy(struct gpu_events *events)
{
	if (!events)
		return;
	if (events->is_running) {
		LIST_REMOVE(&events->process, link);
		process_signal(&events->process, SIGKILL);
	}
	line_reader_close(&events->output);
	line_reader_close(&events->error);
	free(events);
}

void gpu_events_refresh(struct gpu_events *events)
{
	char option[] = "--gpu-events";
	char *arguments[] = {NULL, option, NULL};
	struct process_plan plan = {.arguments = arguments, .output = -1, .error = -1, .control = -1};
	char *path;

	if (!events || events->is_running)
		return;
	path = executor_path_find(events->mediator);
	arguments[0] = path;
	plan.path = path;
	if (path && line_reader_open(events->mediator, &events->output, &plan.output) == 0 &&
	    line_reader_open(events->mediator, &events->error, &plan.error) == 0 &&
	    process_start(events->mediator, &plan, &events->process) == 0) {
		events->is_running = true;
	} else {
		log_debug("[GPU] errors cannot be waited for: %s", strerror(errno));
		line_reader_close(&events->output);
		line_reader_close(&events->error);
	}
	if (plan.output >= 0)
		close(plan.output);
	if (plan.error >= 0)
		close(plan.error);
	free(path);
}

bool gpu_events_worker_is_faulty(const struct gpu_events *events, const char *worker)
{
	for (unsigned i = 0; events && i < events->count; i++) {
		const struct gpu *gpu = &events->gpus[i];

		if (strcmp(gpu->worker, worker) == 0 && gpu->fault && gpu->fault->is_fatal)
			return true;
	}
	return false;
}

bool gpu_events_worker_clear(struct gpu_events *events, const char *name)
{
	for (unsigned i = 0; events && i < events->count; i++) {
		char own[WORKER_GPU_NAME_BYTES];

		gpu_name_find(events->mediator, events->gpus[i].worker, events->gpus[i].uuid, own);
		if (!events->gpus[i].worker[0] || !events->gpus[i].fault || strcmp(own, name) != 0)
			continue;
		events->gpus[i].fault = NULL;
		return true;
	}
	return false;
}

bool gpu_events_is_faulty(const struct gpu_events *events, const char *uuid)
{
	const struct gpu *gpu = gpu_find(events, "", uuid);

	return gpu && gpu->fault && gpu->fault->is_fatal;
}

void gpu_events_describe(const struct gpu_events *events, const char *uuid, char *text, size_t bytes)
{
	const struct gpu *gpu = gpu_find(events, "", uuid);

	text[0] = '\0';
	if (gpu && gpu->fault)
		snprintf(text, bytes, "Xid %u: %s", gpu->fault->xid, gpu->fault->text);
}

bool gpu_events_clear(struct gpu_events *events, const char *uuid)
{
	struct gpu *gpu = (struct gpu *)(uintptr_t)gpu_find(events, "", uuid);

	if (!gpu || !gpu->fault)
		return false;
	gpu->fault = NULL;
	return true;
}

bool gpu_events_look(const struct gpu_events *events, char *text, size_t bytes)
{
	size_t used = 0;

	snprintf(text, bytes, "%s", events && events->is_running ? "no errors that matter" : "not watched");
	for (unsigned i = 0; events && i < events->count; i++) {
		const struct fault *fault = events->gpus[i].fault;
		char name[WORKER_GPU_NAME_BYTES];

		if (!fault || used >= bytes)
			continue;
		gpu_name_find(events->mediator, events->gpus[i].worker, events->gpus[i].uuid, name);
		used += (size_t)snprintf(text + used, bytes - used, "%sGPU %s: Xid %u: %s", used ? "; " : "", name,
					 fault->xid, fault->text);
	}
	return used == 0;
}

void gpu_events_write(const struct gpu_events *events, struct evbuffer *output)
{
	metrics_head(output, "vgpu_gpu_xid_errors_total", "counter", "Xid errors that the driver reported.");
	for (unsigned i = 0; events && i < events->count; i++) {
		char name[WORKER_GPU_NAME_BYTES];
		char label[METRICS_LABEL_BYTES];

		gpu_name_find(events->mediator, events->gpus[i].worker, events->gpus[i].uuid, name);
		metrics_label(label, sizeof(label), name);
		for (unsigned xid = 0; xid < XIDS; xid++) {
			if (events->gpus[i].counts[xid])
				evbuffer_add_printf(output, "vgpu_gpu_xid_errors_total{gpu=\"%s\",xid=\"%u\"} %llu\n",
						    label, xid, (unsigned long long)events->gpus[i].counts[xid]);
		}
	}
}
