/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu_hangs.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>

#include "gpu_name.h"
#include "log.h"
#include "mediator.h"
#include "metrics_private.h"
#include "probe.h"

#define HANG_TEXT "executors of several tenants were stuck in its driver"

/* The number of the GPU's entry; the count: it has none. */
static unsigned hang_find(const struct gpu_hangs *hangs, const char *uuid)
{
	unsigned at = 0;

	while (at < hangs->count && strcmp(hangs->gpus[at].uuid, uuid) != 0)
		at++;
	return at;
}

static bool is_marked(const struct gpu_hangs *hangs, const char *uuid)
{
	unsigned at = hang_find(hangs, uuid);

	return at < hangs->count && hangs->gpus[at].is_marked;
}

/* In the place of the one that hung longest ago, where devices were changed that often. */
static struct gpu_hang *hang_take(struct gpu_hangs *hangs, const char *uuid)
{
	unsigned at = hang_find(hangs, uuid);

	if (at < hangs->count)
		return &hangs->gpus[at];
	if (hangs->count < GPUS_MAX) {
		hangs->count++;
	} else {
		at = 0;
		for (unsigned i = 1; i < GPUS_MAX; i++) {
			if (hangs->gpus[i].noted_ms < hangs->gpus[at].noted_ms)
				at = i;
		}
	}
	hangs->gpus[at] = (struct gpu_hang){.uuid = ""};
	snprintf(hangs->gpus[at].uuid, sizeof(hangs->gpus[at].uuid), "%s", uuid);
	return &hangs->gpus[at];
}

void gpu_hangs_note(struct mediator *mediator, const char *uuid, uint64_t now_ms)
{
	struct gpu_hang *hang = hang_take(&mediator->gpu_hangs, uuid);
	char name[WORKER_GPU_NAME_BYTES];

	hang->count++;
	hang->noted_ms = now_ms;
	if (hang->is_marked)
		return;
	hang->is_marked = true;
	gpu_name_find(mediator, "", uuid, name);
	log_error("[GPU] GPU %s: " HANG_TEXT " (vgpu-admin clear-gpu)", name);
}

bool gpu_hangs_recently(const struct gpu_hangs *hangs, const char *uuid, uint64_t now_ms, uint64_t within_ms)
{
	return is_marked(hangs, uuid) && now_ms - hangs->gpus[hang_find(hangs, uuid)].noted_ms <= within_ms;
}

bool gpu_hangs_clear(struct gpu_hangs *hangs, const char *uuid)
{
	if (!is_marked(hangs, uuid))
		return false;
	hangs->gpus[hang_find(hangs, uuid)].is_marked = false;
	return true;
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
		if (!hangs->gpus[i].is_marked || !probe_devices_of_gpu(mediator->probe, hangs->gpus[i].uuid))
			continue;
		gpu_name_find(mediator, "", hangs->gpus[i].uuid, name);
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
		gpu_name_find(mediator, "", hangs->gpus[i].uuid, name);
		metrics_label(gpu, sizeof(gpu), name);
		metrics_label(uuid, sizeof(uuid), hangs->gpus[i].uuid);
		/* The number may be another GPU's after a reload. */
		evbuffer_add_printf(output, "vgpu_gpu_hangs_total{gpu=\"%s\",uuid=\"%s\"} %llu\n", gpu, uuid,
				    (unsigned long long)hangs->gpus[i].count);
	}
}
