/* SPDX-License-Identifier: Apache-2.0 */
#include "sensors.h"

#include <errno.h>
#include <event2/buffer.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
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
#include "worker.h"
#include "worker_watch.h"

struct sensors {
	struct process process;
	struct mediator *mediator;
	bool is_running;
	struct line_reader output;
	struct line_reader error;
	struct sensors_gpu gpus[GPUS_MAX];
	unsigned count;
	/* What the process says; taken over when it ends well. */
	struct sensors_gpu coming[GPUS_MAX];
	unsigned coming_count;
};

static const struct {
	const char *name; /* as host/executor/sensors.h has it */
	const char *metric;
	const char *type;
	const char *help;
	double scale;
} kinds[SENSOR_COUNT] = {
	[SENSOR_UTILIZATION] = {"utilization", "vgpu_gpu_utilization_ratio", "gauge",
				"Part of the time in which a kernel ran.", 0.01},
	[SENSOR_MEMORY_UTILIZATION] = {"memory_utilization", "vgpu_gpu_memory_utilization_ratio", "gauge",
				       "Part of the time in which memory was read or written.", 0.01},
	[SENSOR_MEMORY_USED] = {"memory_used", "vgpu_gpu_memory_used_bytes", "gauge", "Memory in use.", 1},
	[SENSOR_TEMPERATURE] = {"temperature", "vgpu_gpu_temperature_celsius", "gauge", "Temperature.", 1},
	[SENSOR_POWER] = {"power", "vgpu_gpu_power_watts", "gauge", "Power.", 0.001},
	[SENSOR_ECC_CORRECTED] = {"ecc_corrected", "vgpu_gpu_ecc_corrected_total", "counter",
				  "Corrected errors of memory since the driver was loaded.", 1},
	[SENSOR_ECC_UNCORRECTED] = {"ecc_uncorrected", "vgpu_gpu_ecc_uncorrected_total", "counter",
				    "Errors of memory that could not be corrected, since the driver was loaded.", 1},
};

static void value_take(struct sensors_gpu *gpu, const char *name, const char *value)
{
	char *end;

	for (int i = 0; i < SENSOR_COUNT; i++) {
		if (strcmp(kinds[i].name, name) != 0)
			continue;
		gpu->values[i] = (double)strtoull(value, &end, 10);
		gpu->is_known[i] = *value && !*end;
	}
}

bool sensors_line_parse(const char *line, struct sensors_gpu *ret_gpu)
{
	char copy[LINE_READER_BYTES];
	char *rest = NULL;

	*ret_gpu = (struct sensors_gpu){.uuid = ""};
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		char *value = strchr(word, '=');

		if (!value)
			continue;
		*value++ = '\0';
		if (strcmp(word, "uuid") == 0)
			snprintf(ret_gpu->uuid, sizeof(ret_gpu->uuid), "%s", value);
		else
			value_take(ret_gpu, word, value);
	}
	return ret_gpu->uuid[0] != '\0';
}

static void output_line(void *owner, const char *line)
{
	struct sensors *sensors = owner;

	if (sensors->coming_count < GPUS_MAX && sensors_line_parse(line, &sensors->coming[sensors->coming_count]))
		sensors->coming_count++;
}

static void error_line(void *owner, const char *line)
{
	(void)owner;
	log_debug("[SENSORS] %s", line);
}

static void child_exited(struct process *process, int status)
{
	struct sensors *sensors = (struct sensors *)process;

	sensors->is_running = false;
	line_reader_finish(&sensors->output);
	line_reader_finish(&sensors->error);
	sensors->count = 0;
	/* What is not known now is not what it was. */
	if (status != 0)
		return;
	memcpy(sensors->gpus, sensors->coming, sizeof(sensors->gpus));
	sensors->count = sensors->coming_count;
}

_Static_assert(offsetof(struct sensors, process) == 0, "child_exited casts");

struct sensors *sensors_create(struct mediator *mediator)
{
	struct sensors *sensors = calloc(1, sizeof(*sensors));

	if (!sensors)
		return NULL;
	sensors->process.exited = child_exited;
	sensors->mediator = mediator;
	sensors->output = (struct line_reader){.output = -1, .line = output_line, .owner = sensors};
	sensors->error = (struct line_reader){.output = -1, .line = error_line, .owner = sensors};
	return sensors;
}

void sensors_destroy(struct sensors *sensors)
{
	if (!sensors)
		return;
	if (sensors->is_running) {
		LIST_REMOVE(&sensors->process, link);
		process_signal(&sensors->process, SIGKILL);
	}
	line_reader_close(&sensors->output);
	line_reader_close(&sensors->error);
	free(sensors);
}

void sensors_refresh(struct sensors *sensors)
{
	char option[] = "--sensors";
	char *arguments[] = {NULL, option, NULL};
	struct process_plan plan = {.arguments = arguments, .output = -1, .error = -1, .control = -1};
	char *path;

	if (!sensors)
		return;
	if (sensors->is_running) {
		process_signal(&sensors->process, SIGKILL);
		return;
	}
	path = executor_path_find(sensors->mediator);
	arguments[0] = path;
	plan.path = path;
	sensors->coming_count = 0;
	if (path && line_reader_open(sensors->mediator, &sensors->output, &plan.output) == 0 &&
	    line_reader_open(sensors->mediator, &sensors->error, &plan.error) == 0 &&
	    process_start(sensors->mediator, &plan, &sensors->process) == 0) {
		sensors->is_running = true;
	} else {
		log_debug("[SENSORS] cannot be asked: %s", strerror(errno));
		line_reader_close(&sensors->output);
		line_reader_close(&sensors->error);
		sensors->count = 0;
	}
	if (plan.output >= 0)
		close(plan.output);
	if (plan.error >= 0)
		close(plan.error);
	free(path);
}

static const struct sensors_gpu *gpu_find(const struct sensors_gpu *gpus, unsigned count, const char *uuid)
{
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(gpus[i].uuid, uuid) == 0)
			return &gpus[i];
	}
	return NULL;
}

const struct sensors_gpu *sensors_of_gpu(const struct sensors *sensors, unsigned gpu)
{
	const struct worker_watch *watch = NULL;
	struct worker_watch_sensors said;

	if (sensors && gpu < probe_device_count(sensors->mediator->probe)) {
		struct probe_device device = probe_device(sensors->mediator->probe, gpu);

		return gpu_find(sensors->gpus, sensors->count, probe_device_gpu(&device));
	}
	while (sensors && (watch = worker_watch_sensors_next(sensors->mediator, watch, &said))) {
		for (unsigned i = 0; i < said.count; i++) {
			unsigned index = worker_watch_index_of_uuid(sensors->mediator, said.worker, said.gpus[i].uuid);

			if (index != UINT_MAX && worker_gpu(said.worker) + index == gpu)
				return &said.gpus[i];
		}
	}
	return NULL;
}

/* The head of a metric comes before the first value. */
static void values_write(const struct mediator *mediator, struct evbuffer *output, enum sensor kind,
			 const struct sensors_gpu *gpus, unsigned count, const char *worker, bool *has_head)
{
	for (unsigned i = 0; i < count; i++) {
		char name[WORKER_GPU_NAME_BYTES];
		char gpu[METRICS_LABEL_BYTES];
		char uuid[METRICS_LABEL_BYTES];
		char address[METRICS_LABEL_BYTES];

		if (!gpus[i].is_known[kind])
			continue;
		if (!*has_head)
			metrics_head(output, kinds[kind].metric, kinds[kind].type, kinds[kind].help);
		*has_head = true;
		gpu_name_find(mediator, worker ? worker : "", gpus[i].uuid, name);
		metrics_label(gpu, sizeof(gpu), name);
		metrics_label(uuid, sizeof(uuid), gpus[i].uuid);
		evbuffer_add_printf(output, "%s{gpu=\"%s\",uuid=\"%s\"", kinds[kind].metric, gpu, uuid);
		if (worker) {
			metrics_label(address, sizeof(address), worker);
			evbuffer_add_printf(output, ",worker=\"%s\"", address);
		}
		evbuffer_add_printf(output, "} %.15g\n", gpus[i].values[kind] * kinds[kind].scale);
	}
}

void sensors_write(const struct sensors *sensors, struct evbuffer *output)
{
	for (int kind = 0; sensors && kind < SENSOR_COUNT; kind++) {
		const struct worker_watch *watch = NULL;
		struct worker_watch_sensors of_worker;
		bool has_head = false;

		values_write(sensors->mediator, output, (enum sensor)kind, sensors->gpus, sensors->count, NULL,
			     &has_head);
		while ((watch = worker_watch_sensors_next(sensors->mediator, watch, &of_worker)))
			values_write(sensors->mediator, output, (enum sensor)kind, of_worker.gpus, of_worker.count,
				     of_worker.worker, &has_head);
	}
}
