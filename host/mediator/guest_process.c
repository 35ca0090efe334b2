/* SPDX-License-Identifier: Apache-2.0 */
#include "guest_process.h"

#include <limits.h>
#include <stdio.h>

#include "adoption.h"
#include "channel_private.h"
#include "gpus.h"
#include "mediator.h"
#include "probe.h"
#include "worker.h"

/* One whose program sees one GPU of this host, of the same VM. */
static bool is_beside(const struct channel *channel, const struct channel *other)
{
	return other != channel && other->request.owner == channel->request.owner && other->stage == CHANNEL_READY &&
	       other->executor && other->is_placed && !worker_owns_gpu(other->request.gpu);
}

/* As the process said itself; from before a restart too. */
static uint32_t process_of(const struct channel *channel)
{
	return (uint32_t)channel->counters.values->process_id;
}

/* UINT_MAX: no program of the VM says so. */
static unsigned gpu_to_show(const struct channel *channel, uint32_t process)
{
	unsigned programs[GPUS_MAX] = {0};
	const struct channel *other;
	unsigned most = UINT_MAX;

	LIST_FOREACH(other, &channel->mediator->channels, link)
	{
		unsigned gpu = other->request.gpu;

		if (!is_beside(channel, other) || other->is_telemetry || gpu >= GPUS_MAX)
			continue;
		if (process_of(other) == process)
			return gpu;
		/* Others only if they compute. */
		if (other->pool_id != channel->pool_id || !other->counters.values->devices[0].contexts)
			continue;
		programs[gpu]++;
		if (most == UINT_MAX || programs[gpu] > programs[most])
			most = gpu;
	}
	return most;
}

/* NVML's channel of the same process that shows another GPU; NULL: there is none. */
static struct channel *stale_find(const struct channel *channel, uint32_t process)
{
	struct channel *other;

	LIST_FOREACH(other, &channel->mediator->channels, link)
	{
		if (is_beside(channel, other) && other->is_telemetry && process_of(other) == process &&
		    other->shown_gpu != channel->request.gpu)
			return other;
	}
	return NULL;
}

/* At once: when CUDA has started NVML must not answer for the other GPU any more. */
static void telemetry_end(struct channel *channel)
{
	channel->fault_error = VGPU_ERROR_EXECUTOR_DIED;
	snprintf(channel->fault_text, sizeof(channel->fault_text),
		 "its process's CUDA is on another GPU, which NVML is to show");
	executor_process_kill(channel->executor, channel->fault_text);
	channel_die(channel, channel->fault_error, channel->fault_text);
}

void guest_process_take(struct channel *channel, const struct vgpu_control_guest_process *process)
{
	const struct probe *probe = channel->mediator->probe;
	bool sees_one = channel->is_placed && !worker_owns_gpu(channel->request.gpu);
	bool was_telemetry = channel->is_telemetry;
	unsigned shown_before = channel->shown_gpu;
	struct control_message answer = {0};
	struct channel *stale;
	unsigned gpu;

	channel->is_telemetry = process->is_telemetry != 0;
	channel->shown_gpu = channel->request.gpu;
	if (sees_one && channel->is_telemetry) {
		gpu = gpu_to_show(channel, process->process_id);
		if (gpu < probe_device_count(probe)) {
			channel->shown_gpu = gpu;
			snprintf(answer.guest_devices.visible, sizeof(answer.guest_devices.visible), "%s",
				 probe_device(probe, gpu).uuid);
		}
	}
	/* What it was kept with when it was ready did not say this. */
	if (channel->is_telemetry && channel->stage == CHANNEL_READY &&
	    (!was_telemetry || channel->shown_gpu != shown_before))
		adoption_channel_keep(channel);
	/* From the start each time: what hears of an end may close others. */
	while (sees_one && !channel->is_telemetry && (stale = stale_find(channel, process->process_id)))
		telemetry_end(stale);
	executor_process_send(channel->executor, VGPU_CONTROL_GUEST_DEVICES, &answer);
}
