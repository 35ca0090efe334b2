/* SPDX-License-Identifier: Apache-2.0 */
/* Starting an executor on a mirror of the guest's channel. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "accounts.h"
#include "control_socket.h"
#include "memory_file.h"
#include "mirror_control.h"
#include "wakeup.h"

#define COUNTERS_BYTES	  4096
#define CHANNEL_BYTES_MAX (256u << 20)
#define START_MS	  60000

static bool executor_start(struct mirror *mirror, const struct mirror_plan *plan)
{
	int sockets[2];
	int log;

	if (mirror_log_open(&mirror->log, &log) < 0)
		return false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
		close(log);
		return false;
	}
	mirror->control = sockets[0];
	/* Our end only: an executor that does not read must not stop its mirror. */
	if (fcntl(sockets[0], F_SETFL, O_NONBLOCK) < 0) {
		close(sockets[1]);
		close(log);
		return false;
	}
	mirror->executor = account_executor_ask(plan->accounts, plan->open.flags & LINK_FLAG_LASTING, sockets[1], log);
	close(sockets[1]);
	close(log);
	if (mirror->executor < 0)
		return false;
	mirror->executor_exit = (int)syscall(SYS_pidfd_open, mirror->executor, 0);
	return true;
}

static bool start_send(struct mirror *mirror, const struct mirror_plan *plan, int memory, int counters, int tenant)
{
	struct mirror_schedule *schedule = &mirror->schedule;
	struct control_message message = {
		.executor_start =
			{
				.channel_bytes = plan->open.channel_bytes,
				.vm_id = plan->open.vm_id,
				.channel = plan->open.channel,
				.pool_id = plan->open.pool_id,
				.has_schedule = 1,
				.can_share = 1,
				.allows_pageable = plan->allows_pageable,
				.is_far = 1,
			},
		.fds = {memory, mirror->doorbell_other, mirror->interrupt, counters, schedule->file, tenant,
			schedule->wake_other, schedule->bell},
		.fd_count = 8,
	};

	snprintf(message.executor_start.driver_library, sizeof(message.executor_start.driver_library), "%s",
		 plan->driver);
	if (control_send(mirror->control, VGPU_CONTROL_EXECUTOR_START, &message) < 0)
		return false;
	/* Only the executor is to have its ends. */
	close(mirror->doorbell_other);
	mirror_schedule_sent(schedule);
	return true;
}

static bool ready_await(struct mirror *mirror)
{
	struct pollfd waits[] = {{.fd = mirror->control, .events = POLLIN},
				 {.fd = mirror->link->socket, .events = POLLRDHUP},
				 {.fd = mirror->accounts, .events = POLLIN}};
	struct control_message message;
	int received;

	if (poll(waits, 3, START_MS) <= 0) {
		mirror_end(mirror, VGPU_ERROR_START_TIMEOUT, "the executor did not become ready in time");
		return false;
	}
	/* How it has ended: there is nothing else that the main process could say now. */
	if (waits[2].revents && poll(waits, 1, 0) <= 0)
		mirror_answer_take(mirror);
	received = waits[0].revents ? control_receive(mirror->control, &message) : 0;
	if (received <= 0) {
		mirror->is_end_awaited |= waits[0].revents != 0;
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_DIED, "the executor did not start");
		return false;
	}
	control_message_release(&message);
	if (message.header.type == VGPU_CONTROL_EXECUTOR_READY)
		return true;
	if (message.header.type == VGPU_CONTROL_EXECUTOR_FAILED)
		mirror_end(mirror, vgpu_executor_word(message.channel.error, false), "%s", message.channel.text);
	else
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_ENDED, "the executor sent message %u", message.header.type);
	return false;
}

static bool span_fits(uint32_t offset, uint32_t bytes, uint64_t channel_bytes)
{
	return bytes > 0 && offset >= sizeof(struct vgpu_channel_header) && offset <= channel_bytes &&
	       bytes <= channel_bytes - offset;
}

/* The executor has written it; nothing of its guest has run there yet, but it costs nothing to look. */
static bool layout_take(struct mirror *mirror, uint64_t channel_bytes, uint32_t window_bytes)
{
	struct vgpu_channel_header layout;

	memcpy(&layout, mirror->memory, sizeof(layout));
	if (layout.magic != VGPU_CHANNEL_MAGIC || layout.channel_bytes != channel_bytes ||
	    layout.upload_bytes != window_bytes || layout.download_bytes != window_bytes ||
	    !span_fits(layout.command_ring_offset, layout.command_ring_bytes, channel_bytes) ||
	    !span_fits(layout.reply_ring_offset, layout.reply_ring_bytes, channel_bytes) ||
	    !span_fits(layout.upload_offset, layout.upload_bytes, channel_bytes) ||
	    !span_fits(layout.download_offset, layout.download_bytes, channel_bytes) ||
	    !span_fits(layout.function_offset, layout.function_bytes, channel_bytes) ||
	    (layout.command_ring_bytes & (layout.command_ring_bytes - 1)) ||
	    (layout.reply_ring_bytes & (layout.reply_ring_bytes - 1))) {
		mirror_end(mirror, VGPU_ERROR_VERSION, "the executor lays a channel out in another way");
		return false;
	}
	mirror->header = (struct vgpu_channel_header *)(void *)mirror->memory;
	ring_attach(&mirror->commands, &mirror->header->command, mirror->memory + layout.command_ring_offset,
		    layout.command_ring_bytes);
	ring_attach(&mirror->replies, &mirror->header->reply, mirror->memory + layout.reply_ring_offset,
		    layout.reply_ring_bytes);
	mirror->upload_offset = layout.upload_offset;
	mirror->upload_bytes = layout.upload_bytes;
	mirror->download_offset = layout.download_offset;
	mirror->download_bytes = layout.download_bytes;
	mirror->function_offset = layout.function_offset;
	mirror->function_bytes = layout.function_bytes;
	lanes_open(&mirror->lanes, &(struct lanes_windows){
					   .out_offset = layout.download_offset,
					   .out_bytes = layout.download_bytes,
					   .in_offset = layout.upload_offset,
					   .in_bytes = layout.upload_bytes,
				   });
	return true;
}

static bool open_is_valid(struct mirror *mirror, const struct link_open *open)
{
	if (open->version != LINK_VERSION) {
		mirror_end(mirror, VGPU_ERROR_VERSION, "link version %u, this worker speaks %u", open->version,
			   LINK_VERSION);
		return false;
	}
	if (open->channel_bytes < VGPU_CHANNEL_BYTES_MIN || open->channel_bytes > CHANNEL_BYTES_MAX ||
	    open->channel_bytes % 4096) {
		mirror_end(mirror, VGPU_ERROR_REFUSED, "a channel of %llu bytes",
			   (unsigned long long)open->channel_bytes);
		return false;
	}
	return true;
}

/* The tenant's page and the counters. */
static bool account_open(const struct mirror_plan *plan, int *ret_tenant, int *ret_counters)
{
	const struct account_group group = {.vm_id = plan->open.vm_id,
					    .process_namespace = plan->open.process_namespace};
	struct account_key key = {0};

	memcpy(key.certificate, plan->certificate, sizeof(key.certificate));
	/* Compared as bytes. */
	snprintf(key.host, sizeof(key.host), "%s", plan->open.host);
	snprintf(key.tenant, sizeof(key.tenant), "%s", plan->open.tenant);
	return account_ask(plan->accounts, &key, &group, ret_tenant, ret_counters) == 0;
}

/* Has the relay open lanes while the executor starts. False: it cannot be. */
static bool lanes_offer(struct mirror *mirror, const struct mirror_plan *plan, int memory)
{
	struct link_lane offer = {.version = LINK_VERSION, .count = plan->open.lanes};
	int files[ACCOUNT_LANE_FILES];
	int page = -1;
	bool is_told;

	if (offer.count > plan->lanes_max)
		offer.count = plan->lanes_max;
	if (offer.count == 0)
		return true;
	if (getrandom(offer.token, sizeof(offer.token), 0) != sizeof(offer.token) ||
	    lanes_create(&mirror->lanes, offer.count, &page) < 0)
		return false;
	mirror->commands_in.lanes = &mirror->lanes;
	files[ACCOUNT_LANE_MEMORY] = memory;
	files[ACCOUNT_LANE_PAGE] = page;
	files[ACCOUNT_LANE_WAKE] = mirror->lanes.wake;
	files[ACCOUNT_LANE_BELL] = mirror->lanes.bell;
	is_told = account_lanes_tell(plan->accounts, offer.token, offer.count, files) == 0;
	close(page);
	if (!is_told)
		return false;
	memcpy(link_put(mirror->link, LINK_OFFER, sizeof(offer), false), &offer, sizeof(offer));
	/* If it is lost, so much is seen when the executor is there. */
	(void)link_flush(mirror->link);
	return true;
}

bool mirror_open(struct mirror *mirror, const struct mirror_plan *plan)
{
	uint64_t bytes = plan->open.channel_bytes;
	int memory = -1;
	int counters = -1;
	int tenant = -1;
	void *mapping = MAP_FAILED;
	void *counters_mapping = MAP_FAILED;
	bool result = false;

	mirror->control = mirror->executor_exit = -1;
	mirror->accounts = plan->accounts;
	mirror->log.output = -1;
	if (!open_is_valid(mirror, &plan->open))
		return false;
	/* Without it the data goes as it is. */
	if (plan->open.flags & LINK_FLAG_PACK)
		(void)packer_open(&mirror->packer);
	memory = memory_file_create("vgpu-channel", bytes);
	mirror->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (memory >= 0)
		mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (account_open(plan, &tenant, &counters))
		counters_mapping = mmap(NULL, COUNTERS_BYTES, PROT_READ, MAP_SHARED, counters, 0);
	if (mapping == MAP_FAILED || counters_mapping == MAP_FAILED || mirror->interrupt < 0 ||
	    (mirror->interrupted = wakeup_listen(mirror->interrupt)) < 0 ||
	    wakeup_create(&mirror->doorbell, &mirror->doorbell_other) < 0 ||
	    mirror_schedule_open(&mirror->schedule) < 0 || !lanes_offer(mirror, plan, memory) ||
	    !executor_start(mirror, plan) || !start_send(mirror, plan, memory, counters, tenant)) {
		mirror_end(mirror, VGPU_ERROR_NO_MEMORY, "the worker cannot start an executor: %s", strerror(errno));
	} else if (ready_await(mirror)) {
		/* A relay has nothing to say before it is told, however long the driver needs. */
		mirror->link->heard_ms = link_now_ms();
		mirror->memory = mapping;
		mirror->counters = counters_mapping;
		mirror_schedule_begin(&mirror->schedule, counters_mapping);
		result = layout_take(mirror, bytes, plan->open.window_bytes);
	}
	if (memory >= 0)
		close(memory);
	if (counters >= 0)
		close(counters);
	if (tenant >= 0)
		close(tenant);
	/* The rest goes with this process, which serves nothing else. */
	return result;
}
