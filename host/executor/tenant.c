/* SPDX-License-Identifier: Apache-2.0 */
#include "tenant.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control_socket.h"
#include "executor.h"
#include "log.h"

/* The mediator answers from memory; one that is silent for so long is stopped. */
#define ANSWER_TIMEOUT_MS 2000

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the next answer of that type; other messages are not for us. */
static bool answer_receive(int control, enum vgpu_control_type type, int64_t deadline_ms,
			   struct control_message *ret_message)
{
	for (;;) {
		struct pollfd poller = {.fd = control, .events = POLLIN};
		int64_t left_ms = deadline_ms - now_ms();
		int received;

		if (left_ms <= 0)
			return false;
		if (poll(&poller, 1, (int)left_ms) <= 0)
			continue;
		received = control_receive(control, ret_message);
		if (received < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (received <= 0)
			return false;
		control_message_release(ret_message);
		if (ret_message->header.type == type)
			return true;
	}
}

/* Appends one answer; false: it is none to the question. */
static bool answer_take(struct tenant_use *use, const struct vgpu_control_tenant_reply *reply)
{
	size_t room = VGPU_NVML_PROCESSES_MAX - use->count;
	size_t count = reply->count;

	if (reply->first != use->count || count > VGPU_CONTROL_TENANT_PROCESSES_MAX)
		return false;
	if (count > room)
		count = room;
	memcpy(&use->processes[use->count], reply->processes, count * sizeof(use->processes[0]));
	use->count += count;
	use->quota_bytes = reply->quota_bytes;
	return true;
}

bool tenant_use_fetch(struct executor *executor, uint32_t pci_place, struct tenant_use *ret_use)
{
	int64_t deadline_ms = now_ms() + ANSWER_TIMEOUT_MS;
	struct control_message message;

	ret_use->count = 0;
	do {
		size_t before = ret_use->count;

		memset(&message, 0, sizeof(message));
		message.tenant_query.pci_place = pci_place;
		message.tenant_query.first = (uint32_t)before;
		if (control_send(executor->control, VGPU_CONTROL_TENANT_QUERY, &message) < 0 ||
		    !answer_receive(executor->control, VGPU_CONTROL_TENANT_REPLY, deadline_ms, &message) ||
		    !answer_take(ret_use, &message.tenant_reply))
			return false;
		/* Processes may have ended meanwhile. */
		if (ret_use->count == before)
			break;
	} while (ret_use->count < message.tenant_reply.total && ret_use->count < VGPU_NVML_PROCESSES_MAX);
	return true;
}

void tenant_process_tell(struct executor *executor, uint32_t process_id, bool is_telemetry)
{
	struct control_message message = {.guest_process = {.process_id = process_id, .is_telemetry = is_telemetry}};

	if (!executor->tells_process)
		return;
	if (control_send(executor->control, VGPU_CONTROL_GUEST_PROCESS, &message) < 0 ||
	    !answer_receive(executor->control, VGPU_CONTROL_GUEST_DEVICES, now_ms() + ANSWER_TIMEOUT_MS, &message)) {
		log_write("the mediator does not say which device NVML is to show");
		return;
	}
	/* Both libraries read it when they start, which they have not yet. */
	if (is_telemetry && message.guest_devices.visible[0] &&
	    setenv("CUDA_VISIBLE_DEVICES", message.guest_devices.visible, 1) < 0)
		log_write("NVML shows another device than CUDA: out of memory");
}

uint64_t tenant_used_bytes(const struct tenant_use *use)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < use->count; i++)
		sum += use->processes[i].memory_bytes;
	return sum;
}

struct tenant_memory tenant_memory_view(uint64_t quota_bytes, uint64_t real_total_bytes, uint64_t real_free_bytes,
					uint64_t used_bytes)
{
	struct tenant_memory memory = {.total_bytes = real_total_bytes, .used_bytes = used_bytes};

	if (quota_bytes != 0 && quota_bytes < real_total_bytes)
		memory.total_bytes = quota_bytes;
	if (memory.used_bytes > memory.total_bytes)
		memory.used_bytes = memory.total_bytes;
	memory.free_bytes = memory.total_bytes - memory.used_bytes;
	if (memory.free_bytes > real_free_bytes)
		memory.free_bytes = real_free_bytes;
	return memory;
}
