/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <event2/buffer.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_events.h"
#include "health.h"
#include "log.h"
#include "mediator.h"
#include "metrics_private.h"
#include "probe.h"
#include "scheduler.h"
#include "sensors.h"
#include "session.h"
#include "state.h"
#include "usage.h"
#include "worker.h"
#include "worker_watch.h"

void metrics_head(struct evbuffer *output, const char *name, const char *type, const char *help)
{
	evbuffer_add_printf(output, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_label(char *target, size_t bytes, const char *text)
{
	char ascii[METRICS_LABEL_BYTES];
	json_t *valid = json_string(text);
	size_t at = 0;

	/* The format is UTF-8, and names come from guests. */
	if (!valid) {
		log_text_copy(ascii, sizeof(ascii), text, strlen(text));
		text = ascii;
	}
	for (; *text && at + 2 < bytes; text++) {
		if (*text == '\\' || *text == '"' || *text == '\n')
			target[at++] = '\\';
		target[at++] = *text == '\n' ? 'n' : *text;
	}
	target[at] = '\0';
	json_decref(valid);
}

void metrics_value_write(struct evbuffer *output, const char *name, const char *labels, double value)
{
	if (isnan(value))
		evbuffer_add_printf(output, "%s{%s} NaN\n", name, labels);
	else
		evbuffer_add_printf(output, "%s{%s} %.15g\n", name, labels, value);
}

void metrics_waits_write(struct evbuffer *output, const char *name, const char *labels, const struct usage_waits *waits)
{
	uint64_t below = 0;

	for (int i = 0; i < USAGE_WAIT_BUCKETS; i++) {
		below += waits->buckets[i];
		evbuffer_add_printf(output, "%s_bucket{%s,le=\"%g\"} %llu\n", name, labels, usage_wait_bounds[i],
				    (unsigned long long)below);
	}
	evbuffer_add_printf(output, "%s_bucket{%s,le=\"+Inf\"} %llu\n", name, labels, (unsigned long long)waits->count);
	evbuffer_add_printf(output, "%s_sum{%s} %.9f\n%s_count{%s} %llu\n", name, labels, (double)waits->sum_ns / 1e9,
			    name, labels, (unsigned long long)waits->count);
}

static void one(struct evbuffer *output, const char *name, const char *type, const char *help, double value)
{
	metrics_head(output, name, type, help);
	evbuffer_add_printf(output, "%s %.15g\n", name, value);
}

static void mediator_write(const struct mediator *mediator, struct evbuffer *output)
{
	struct vgpu_executor_counters all = counters_sum(mediator, 0);
	struct health_check checks[HEALTH_CHECKS];

	metrics_head(output, "vgpu_info", "gauge", "The mediator's version.");
	evbuffer_add_printf(output, "vgpu_info{version=\"%s\"} 1\n", VGPU_VERSION);
	one(output, "vgpu_uptime_seconds", "gauge", "Since the mediator started.",
	    (double)state_uptime_seconds(mediator));
	one(output, "vgpu_jobs_total", "counter", "Commands of all tenants.", (double)all.calls);
	one(output, "vgpu_errors_total", "counter", "Commands that the driver answered with an error.",
	    (double)all.errors);
	one(output, "vgpu_rejected_total", "counter", "Programs and connections that were refused.",
	    (double)(mediator->sessions_refused + counters_refusals(&mediator->counters)));
	one(output, "vgpu_context_switches_total", "counter", "Grants of a GPU from one tenant to the next.",
	    (double)mediator->counters.grants);
	one(output, "vgpu_quarantines_total", "counter", "Quarantines that began.",
	    (double)mediator->counters.quarantines);
	one(output, "vgpu_connections", "gauge", "Connections of VMs and local programs.", sessions_count(mediator));
	one(output, "vgpu_vms", "gauge", "VMs that are connected.", state_machines_count(mediator));
	one(output, "vgpu_log_lines_lost_total", "counter", "Lines that the log did not take.",
	    (double)log_lost_count());
	health_look(mediator, checks);
	metrics_head(output, "vgpu_healthy", "gauge", "1 if the check is good.");
	for (int i = 0; i < HEALTH_CHECKS; i++)
		evbuffer_add_printf(output, "vgpu_healthy{check=\"%s\"} %d\n", checks[i].name, checks[i].is_good);
}

static const struct scheduler_gpu *scheduler_find(const struct scheduler_gpu *gpus, unsigned count, unsigned gpu)
{
	for (unsigned i = 0; i < count; i++) {
		if (gpus[i].gpu == gpu)
			return &gpus[i];
	}
	return NULL;
}

static void programs_write(struct evbuffer *output, const char *family, int which, const char *label,
			   const struct scheduler_gpu *gpu)
{
	unsigned values[3] = {0};

	if (gpu) {
		values[0] = gpu->tenants;
		values[1] = gpu->processes;
		values[2] = gpu->waiting;
	}
	evbuffer_add_printf(output, "%s{gpu=\"%s\"} %u\n", family, label, values[which]);
}

/* Of each of the worker's GPUs; of the first one also while they are not known. */
static void worker_programs_write(const struct mediator *mediator, struct evbuffer *output, const char *family,
				  int which, const char *worker, const struct scheduler_gpu *gpus, unsigned known)
{
	unsigned count = worker_watch_gpu_count(mediator, worker);

	for (unsigned i = 0; i == 0 || i < count; i++) {
		char name[WORKER_GPU_NAME_BYTES];
		char label[METRICS_LABEL_BYTES];

		worker_gpu_name(worker, i, name);
		metrics_label(label, sizeof(label), name);
		programs_write(output, family, which, label, scheduler_find(gpus, known, worker_gpu(worker) + i));
	}
}

static void gpus_write(const struct mediator *mediator, struct evbuffer *output)
{
	static const char *const names[] = {"vgpu_gpu_tenants", "vgpu_gpu_programs", "vgpu_gpu_waiting"};
	static const char *const helps[] = {"Tenants with programs on the GPU.", "Programs on the GPU.",
					    "Tenants that wait for the GPU."};
	unsigned count = probe_device_count(mediator->probe);
	struct scheduler_gpu gpus[SCHEDULERS_MAX];
	unsigned known = schedulers_look(mediator, gpus, SCHEDULERS_MAX);
	const struct configuration_list *workers = &mediator->configuration.workers;
	char label[METRICS_LABEL_BYTES];

	if (known > SCHEDULERS_MAX)
		known = SCHEDULERS_MAX;
	metrics_head(output, "vgpu_gpu_info", "gauge", "A GPU of the mediator's driver.");
	for (unsigned i = 0; i < count; i++) {
		struct probe_device device = probe_device(mediator->probe, i);
		char name[METRICS_LABEL_BYTES];
		char uuid[METRICS_LABEL_BYTES];
		char pci[METRICS_LABEL_BYTES];

		metrics_label(name, sizeof(name), device.name);
		metrics_label(uuid, sizeof(uuid), device.uuid);
		metrics_label(pci, sizeof(pci), device.pci);
		evbuffer_add_printf(output, "vgpu_gpu_info{gpu=\"%u\",name=\"%s\",uuid=\"%s\",pci=\"%s\"} 1\n", i, name,
				    uuid, pci);
	}
	metrics_head(output, "vgpu_gpu_memory_total_bytes", "gauge", "Memory of the GPU.");
	for (unsigned i = 0; i < count; i++)
		evbuffer_add_printf(output, "vgpu_gpu_memory_total_bytes{gpu=\"%u\"} %llu\n", i,
				    probe_device(mediator->probe, i).memory_bytes);
	for (int family = 0; family < 3; family++) {
		metrics_head(output, names[family], "gauge", helps[family]);
		for (unsigned i = 0; i < count; i++) {
			snprintf(label, sizeof(label), "%u", i);
			programs_write(output, names[family], family, label, scheduler_find(gpus, known, i));
		}
		for (size_t i = 0; i < workers->count; i++) {
			const char *worker = workers->values[i] + 2;
			size_t first = 0;

			/* Of one that several pools have only once. */
			while (strcmp(workers->values[first] + 2, worker) != 0)
				first++;
			if (first < i)
				continue;
			worker_programs_write(mediator, output, names[family], family, worker, gpus, known);
		}
	}
}

int metrics_write(const struct mediator *mediator, struct evbuffer *output)
{
	mediator_write(mediator, output);
	metrics_pools_write(mediator, output);
	gpus_write(mediator, output);
	sensors_write(mediator->sensors, output);
	gpu_events_write(mediator->gpu_events, output);
	gpu_hangs_write(mediator, output);
	return metrics_tenants_write(mediator, output);
}
