/* SPDX-License-Identifier: Apache-2.0 */
/* What a channel's executor, or the relay in its place, says, and its end. */
#include "channel_private.h"

#include <event2/event.h>
#include <inttypes.h>

#include "adoption.h"
#include "gpu_hangs.h"
#include "guest_process.h"
#include "log.h"
#include "mediator.h"
#include "tenant.h"
#include "tenant_use.h"
#include "worker.h"

static void executor_ready(struct channel *channel)
{
	if (channel->stage != CHANNEL_STARTING)
		return;
	channel->stage = CHANNEL_READY;
	starts_success_note(&channel->mediator->starts, channel->pool_id, STARTS_READY);
	event_del(channel->start_timer);
	channel_start_descriptors_close(channel);
	log_write_limited(&channel->request.log->events, LOG_LEVEL_INFO, "[CHANNEL] %s: ready, executor pid %d",
			  channel->label, (int)executor_process_pid(channel->executor));
	/* First, for the handler may close it. */
	adoption_channel_keep(channel);
	channel->request.handlers->ready(channel);
}

static bool error_is_known(uint32_t error)
{
	return error > VGPU_ERROR_NONE && error <= VGPU_ERROR_KERNEL_TIMEOUT;
}

/* A fault only of one that was ready: before that nothing of the tenant's has run in it. */
void channel_death_note(const struct channel *channel, bool is_fault, const char *how)
{
	channel->request.tenant->usage.deaths++;
	channel->mediator->counters.deaths[channel->pool_id - 'A']++;
	if (is_fault)
		tenant_fault_note(channel->request.tenant, how);
}

/* Killed by the kernel for want of memory in its tenant's control group, here or at a worker. */
static void memory_kill_note(struct channel *channel, const char *how)
{
	channel->has_no_memory = true;
	channel->request.tenant->group_kills++;
	log_write_limited(&channel->request.log->events, LOG_LEVEL_WARNING, "[CGROUP] %s: %s", channel->label, how);
}

/* What it says of its end is taken as a relay's, or as an executor's, which its guest may have taken over. */
static void end_take(struct channel *channel, const struct vgpu_control_channel *word)
{
	bool was_ready = channel->stage == CHANNEL_READY;
	bool is_relay = worker_owns_gpu(channel->request.gpu);
	uint32_t error = is_relay ? word->error : vgpu_executor_word(word->error, was_ready);

	channel->fault_error = error_is_known(error) ? (enum vgpu_channel_error)error : VGPU_ERROR_EXECUTOR_DIED;
	log_text_copy(channel->fault_text, sizeof(channel->fault_text), word->text, sizeof(word->text));
	if (error == VGPU_ERROR_HOST_MEMORY)
		memory_kill_note(channel, channel->fault_text);
	if (error >= VGPU_ERROR_HOST_MEMORY && error <= VGPU_ERROR_EXECUTOR_HUNG)
		channel_death_note(channel, error != VGPU_ERROR_EXECUTOR_HUNG && was_ready, channel->fault_text);
	if (error == VGPU_ERROR_EXECUTOR_HUNG)
		gpu_hangs_worker_note(channel, word->pci_place);
	if (error == VGPU_ERROR_PROTOCOL && was_ready)
		tenant_fault_note(channel->request.tenant, channel->fault_text);
	if (channel_move(channel, channel->fault_text))
		return;
	log_write_limited(&channel->request.log->events, LOG_LEVEL_WARNING, "[CHANNEL] %s: executor: %s",
			  channel->label, channel->fault_text);
	executor_process_end(channel->executor);
	if (channel->stage == CHANNEL_STARTING || channel->stage == CHANNEL_READY)
		channel_die(channel, channel->fault_error, channel->fault_text);
}

static void executor_message(void *owner, const struct control_message *message)
{
	struct channel *channel = owner;
	uint32_t type = message->header.type;

	if (type == VGPU_CONTROL_EXECUTOR_READY) {
		executor_ready(channel);
		return;
	}
	if (type == VGPU_CONTROL_DRIVER_RESULT) {
		channel_driver_result_take(channel, &message->driver_result);
		return;
	}
	if (type == VGPU_CONTROL_GUEST_PROCESS) {
		guest_process_take(channel, &message->guest_process);
		return;
	}
	if (type == VGPU_CONTROL_TENANT_QUERY) {
		tenant_reply(channel, &message->tenant_query);
		return;
	}
	if (type == VGPU_CONTROL_SHARE_PUBLISH || type == VGPU_CONTROL_SHARE_QUERY ||
	    type == VGPU_CONTROL_SHARE_WITHDRAW) {
		share_answer(channel, message);
		return;
	}
	if (type != VGPU_CONTROL_EXECUTOR_FAILED && type != VGPU_CONTROL_EXECUTOR_FAULT) {
		log_write_limited(&channel->request.log->events, LOG_LEVEL_WARNING,
				  "[CHANNEL] %s: the executor sent a message of type %u", channel->label, type);
		executor_process_end(channel->executor);
		return;
	}
	end_take(channel, &message->channel);
}

/* What an executor did in its life, as it counted. */
static void counters_report(struct channel *channel)
{
	struct vgpu_executor_counters did = counters_page_read(&channel->counters);

	log_write_limited(&channel->request.log->events, LOG_LEVEL_INFO,
			  "[CHANNEL] %s: %" PRIu64 " calls, %" PRIu64 " launches, %" PRIu64
			  " bytes to the device, %" PRIu64 " bytes from the device, %" PRIu64 " errors, %" PRIu64
			  " launches in chains",
			  channel->label, did.calls, did.launches, did.bytes_to_device, did.bytes_from_device,
			  did.errors, did.launches_chained);
}

static void executor_ended(void *owner, const char *how, bool killed)
{
	struct channel *channel = owner;
	struct mediator *mediator = channel->mediator;

	channel->executor = NULL;
	channel->standstill = (struct standstill){.kind = STANDSTILL_NONE};
	channel->silence[0] = '\0';
	channel->silenced_ms = 0;
	if (killed && executor_group_kill_take(&channel->request.tenant->group)) {
		how = EXECUTOR_GROUP_KILL_TEXT;
		memory_kill_note(channel, how);
	}
	/* A relay that said nothing. */
	if (channel->fault_error == VGPU_ERROR_NONE)
		(void)channel_move(channel, how);
	shares_forget(channel);
	channel_schedule_leave(channel);
	counters_report(channel);
	counters_page_retire(&channel->mediator->counters, channel->pool_id, &channel->counters);
	usage_retire(&channel->request.tenant->usage, &channel->counters);
	counters_page_destroy(&channel->counters);
	if (channel->stage == CHANNEL_CLOSING || channel->stage == CHANNEL_DEAD)
		log_write_limited(&channel->request.log->events, LOG_LEVEL_INFO, "[CHANNEL] %s: %s", channel->label,
				  how);
	if (channel->stage == CHANNEL_CLOSING || channel->stage == CHANNEL_MOVING)
		channel_clean(channel);
	else if (channel->stage != CHANNEL_DEAD && channel->fault_error != VGPU_ERROR_NONE)
		channel_die(channel, channel->fault_error, channel->fault_text);
	else if (channel->stage != CHANNEL_DEAD) {
		channel_death_note(channel, channel->stage == CHANNEL_READY, how);
		channel_die(channel, VGPU_ERROR_EXECUTOR_DIED, how);
	}
	channels_behind_start(mediator);
}

const struct executor_process_handlers channel_executor_handlers = {
	.message = executor_message,
	.ended = executor_ended,
};
