/* SPDX-License-Identifier: Apache-2.0 */
#include "tenant_use.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include "channel.h"
#include "executor_process.h"
#include "mediator.h"

uint64_t tenant_process_namespace(pid_t process)
{
	char path[64];
	struct stat status;

	if (process <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)process);
	return stat(path, &status) == 0 ? status.st_ino : 0;
}

bool tenant_is_same(const struct channel *one, const struct channel *other)
{
	const struct channel_request *a = &one->request;
	const struct channel_request *b = &other->request;

	if (one == other)
		return true;
	if (a->vm_id != 0 || b->vm_id != 0)
		return a->vm_id == b->vm_id;
	return a->user == b->user && a->process_namespace != 0 && a->process_namespace == b->process_namespace;
}

/* What the channel's executor says of its guest process's use of the device; false: it does not use it. */
static bool use_read(const struct channel *channel, uint32_t pci_place, struct vgpu_control_tenant_process *ret_process)
{
	const volatile struct vgpu_executor_counters *counters = channel->counters.values;

	if (!channel->executor || !counters)
		return false;
	for (unsigned i = 0; i < VGPU_COUNTED_DEVICES; i++) {
		if (counters->devices[i].contexts == 0 || counters->devices[i].pci_place != pci_place)
			continue;
		*ret_process = (struct vgpu_control_tenant_process){
			.executor_process = (uint32_t)executor_process_pid(channel->executor),
			.process_id = (uint32_t)counters->process_id,
			.memory_bytes = counters->devices[i].memory_bytes,
		};
		return true;
	}
	return false;
}

void tenant_reply(struct channel *channel, const struct vgpu_control_tenant_query *query)
{
	struct control_message message = {0};
	struct vgpu_control_tenant_reply *reply = &message.tenant_reply;
	const struct channel *other;

	reply->quota_bytes = channel->request.tenant->settings.limits.memory_bytes;
	reply->first = query->first;
	LIST_FOREACH(other, &channel->mediator->channels, link)
	{
		struct vgpu_control_tenant_process process;

		if (!tenant_is_same(channel, other) || !use_read(other, query->pci_place, &process))
			continue;
		if (reply->total >= query->first && reply->count < VGPU_CONTROL_TENANT_PROCESSES_MAX)
			reply->processes[reply->count++] = process;
		reply->total++;
	}
	executor_process_send(channel->executor, VGPU_CONTROL_TENANT_REPLY, &message);
}
