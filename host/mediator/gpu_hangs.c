/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu_hangs.h"

#include <event2/buffer.h>
#include <stdio.h>

#include "log.h"
#include "metrics_private.h"

#define HANG_TEXT "executors of several tenants were stuck in its driver"

static bool has(uint32_t gpus, unsigned gpu)
{
	return gpu < GPU_HANGS_GPUS && (gpus >> gpu & 1);
}

void gpu_hangs_note(struct gpu_hangs *hangs, uint32_t gpus, uint64_t now_ms)
{
	for (unsigned gpu = 0; gpu < GPU_HANGS_GPUS; gpu++) {
		if (!has(gpus, gpu))
			continue;
		hangs->counts[gpu]++;
		hangs->noted_ms[gpu] = now_ms;
		if (!has(hangs->gpus, gpu))
			log_error("[GPU] GPU %u: " HANG_TEXT " (vgpu-admin clear-gpu)", gpu);
	}
	hangs->gpus |= gpus;
}

uint32_t gpu_hangs_recent(const struct gpu_hangs *hangs, uint64_t now_ms, uint64_t within_ms)
{
	uint32_t recent = 0;

	for (unsigned gpu = 0; gpu < GPU_HANGS_GPUS; gpu++) {
		if (has(hangs->gpus, gpu) && now_ms - hangs->noted_ms[gpu] <= within_ms)
			recent |= 1u << gpu;
	}
	return recent;
}

bool gpu_hangs_clear(struct gpu_hangs *hangs, unsigned gpu)
{
	if (!has(hangs->gpus, gpu))
		return false;
	hangs->gpus &= ~(1u << gpu);
	return true;
}

void gpu_hangs_describe(const struct gpu_hangs *hangs, unsigned gpu, char *text, size_t bytes)
{
	snprintf(text, bytes, "%s", has(hangs->gpus, gpu) ? HANG_TEXT : "");
}

bool gpu_hangs_look(const struct gpu_hangs *hangs, char *text, size_t bytes)
{
	size_t used = 0;

	for (unsigned gpu = 0; gpu < GPU_HANGS_GPUS && used < bytes; gpu++) {
		if (has(hangs->gpus, gpu))
			used += (size_t)snprintf(text + used, bytes - used, "%sGPU %u: " HANG_TEXT, used ? "; " : "",
						 gpu);
	}
	return !hangs->gpus;
}

void gpu_hangs_write(const struct gpu_hangs *hangs, struct evbuffer *output)
{
	metrics_head(output, "vgpu_gpu_hangs_total", "counter",
		     "Executors that were ended because those of several tenants were stuck in the GPU's driver.");
	for (unsigned gpu = 0; gpu < GPU_HANGS_GPUS; gpu++) {
		if (hangs->counts[gpu])
			evbuffer_add_printf(output, "vgpu_gpu_hangs_total{gpu=\"%u\"} %llu\n", gpu,
					    (unsigned long long)hangs->counts[gpu]);
	}
}
