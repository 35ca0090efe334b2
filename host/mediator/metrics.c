/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <event2/buffer.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "gpu_events.h"
#include "health.h"
#include "latency.h"
#include "log.h"
#include "mediator.h"
#include "metrics_private.h"
#include "probe.h"
#include "scheduler.h"
#include "sensors.h"
#include "session.h"
#include "state.h"
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

/* What is counted for each pool. */
struct pool_figures {
	struct vgpu_executor_counters counters;
	double programs;
	double refusals;
	double starts;
	double deaths;
	double gpu_seconds;
};

static double pool_jobs(const struct pool_figures *pool)
{
	return (double)pool->counters.calls;
}

static double pool_launches(const struct pool_figures *pool)
{
	return (double)pool->counters.launches;
}

static double pool_bytes_to(const struct pool_figures *pool)
{
	return (double)pool->counters.bytes_to_device;
}

static double pool_bytes_from(const struct pool_figures *pool)
{
	return (double)pool->counters.bytes_from_device;
}

static double pool_errors(const struct pool_figures *pool)
{
	return (double)pool->counters.errors;
}

static double pool_memory(const struct pool_figures *pool)
{
	return (double)pool->counters.memory_bytes;
}

static double pool_programs(const struct pool_figures *pool)
{
	return pool->programs;
}

static double pool_refusals(const struct pool_figures *pool)
{
	return pool->refusals;
}

static double pool_starts(const struct pool_figures *pool)
{
	return pool->starts;
}

static double pool_deaths(const struct pool_figures *pool)
{
	return pool->deaths;
}

static double pool_gpu_seconds(const struct pool_figures *pool)
{
	return pool->gpu_seconds;
}

static const struct {
	const char *name;
	const char *type;
	const char *help;
	double (*value)(const struct pool_figures *pool);
} pool_families[] = {
	{"vgpu_pool_jobs_total", "counter", "Commands of the pool's programs.", pool_jobs},
	{"vgpu_pool_launches_total", "counter", "Kernels that they launched.", pool_launches},
	{"vgpu_pool_bytes_to_device_total", "counter", "Bytes copied to the device.", pool_bytes_to},
	{"vgpu_pool_bytes_from_device_total", "counter", "Bytes copied from the device.", pool_bytes_from},
	{"vgpu_pool_errors_total", "counter", "Commands that failed.", pool_errors},
	{"vgpu_pool_rejected_total", "counter", "Programs that were refused.", pool_refusals},
	{"vgpu_pool_executor_starts_total", "counter", "Executors that were started.", pool_starts},
	{"vgpu_pool_executor_deaths_total", "counter", "Executors that ended without being asked to.", pool_deaths},
	{"vgpu_pool_gpu_seconds_total", "counter", "GPU time that was charged while others were there.",
	 pool_gpu_seconds},
	{"vgpu_pool_memory_bytes", "gauge", "Device memory that they have.", pool_memory},
	{"vgpu_pool_programs", "gauge", "Programs that are running.", pool_programs},
};

static void pools_write(const struct mediator *mediator, struct evbuffer *output)
{
	uint32_t letters = mediator->counters.pools_seen | 3;
	struct pool_figures figures[POOL_COUNT] = {0};
	const struct channel *channel;

	LIST_FOREACH(channel, &mediator->channels, link)
	{
		letters |= 1u << (channel->pool_id - 'A');
		figures[channel->pool_id - 'A'].programs++;
	}
	for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
		const struct counters *counters = &mediator->counters;

		if (counters->refusals[pool] || counters->starts[pool])
			letters |= 1u << pool;
		figures[pool].counters = counters_sum(mediator, 'A' + pool);
		figures[pool].refusals = (double)counters->refusals[pool];
		figures[pool].starts = (double)counters->starts[pool];
		figures[pool].gpu_seconds = (double)counters->gpu_ns[pool] / 1e9;
		figures[pool].deaths = (double)counters->deaths[pool];
	}
	for (size_t i = 0; i < sizeof(pool_families) / sizeof(pool_families[0]); i++) {
		metrics_head(output, pool_families[i].name, pool_families[i].type, pool_families[i].help);
		for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
			if ((letters & 1u << pool) != 0)
				evbuffer_add_printf(output, "%s{pool=\"%c\"} %.15g\n", pool_families[i].name,
						    'A' + (int)pool, pool_families[i].value(&figures[pool]));
		}
	}
	metrics_head(output, "vgpu_pool_call_seconds", "histogram",
		     "Time that their calls took on the host, a wait for the GPU included where a program waits.");
	for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
		char label[] = "pool=\"A\"";

		label[sizeof("pool=\"") - 1] = (char)('A' + (int)pool);
		latency_write(output, "vgpu_pool_call_seconds", label, figures[pool].counters.latencies);
	}
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
	pools_write(mediator, output);
	gpus_write(mediator, output);
	sensors_write(mediator->sensors, output);
	gpu_events_write(mediator->gpu_events, output);
	return metrics_tenants_write(mediator, output);
}
