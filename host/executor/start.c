/* SPDX-License-Identifier: Apache-2.0 */
#include "start.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "control_socket.h"
#include "driver.h"
#include "executor.h"
#include "host_function.h"
#include "log.h"

#define PAGE_BYTES 4096

enum start_descriptor {
	START_MEMORY,
	START_DOORBELL,
	START_INTERRUPT,
	START_COUNTERS,
	START_PASS, /* only with has_pass_socket */
};

/* After those that are there, with has_schedule. */
enum schedule_descriptor { SCHEDULE_PERMIT, SCHEDULE_TENANT, SCHEDULE_WAKE, SCHEDULE_BELL, SCHEDULE_COUNT };

static bool channel_message_send(struct executor *executor, enum vgpu_control_type type, enum vgpu_channel_error error,
				 const char *text)
{
	struct control_message message = {0};

	message.channel.channel = executor->channel_number;
	message.channel.error = error;
	snprintf(message.channel.text, sizeof(message.channel.text), "%s", text);
	return control_send(executor->control, type, &message) == 0;
}

bool start_fail(struct executor *executor, enum vgpu_channel_error error, const char *format, ...)
{
	char text[VGPU_CONTROL_TEXT_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_write("cannot start: %s", text);
	channel_message_send(executor, VGPU_CONTROL_EXECUTOR_FAILED, error, text);
	return false;
}

/* False: no start came; there is nobody to tell. */
static bool message_receive(struct executor *executor, struct control_message *ret_message)
{
	struct pollfd control = {.fd = executor->control, .events = POLLIN};
	int received;

	do {
		if (poll(&control, 1, -1) < 0 && errno != EINTR)
			return false;
		received = control_receive(executor->control, ret_message);
	} while (received < 0 && (errno == EAGAIN || errno == EINTR));
	if (received < 0)
		log_write("the mediator's message is broken: %s", strerror(errno));
	return received > 0;
}

/* NULL: errno says why. */
static void *page_map(int file, int protection)
{
	struct stat status;
	void *mapping;

	_Static_assert(sizeof(struct vgpu_executor_counters) <= VGPU_SCHEDULE_OFFSET &&
			       VGPU_SCHEDULE_OFFSET + sizeof(struct vgpu_executor_schedule) <= PAGE_BYTES &&
			       VGPU_SCHEDULE_PAGE_BYTES == PAGE_BYTES,
		       "one page each");
	if (fstat(file, &status) < 0)
		return NULL;
	if (status.st_size < PAGE_BYTES) {
		errno = EFBIG;
		return NULL;
	}
	mapping = mmap(NULL, PAGE_BYTES, protection, MAP_SHARED, file, 0);
	return mapping == MAP_FAILED ? NULL : mapping;
}

/* Takes a descriptor out of the message, which no longer closes it. */
static int descriptor_take(struct control_message *message, size_t which)
{
	int fd = message->fds[which];

	message->fds[which] = -1;
	return fd;
}

/* 'first' of the schedule's descriptors, 0: none were sent. */
static bool schedule_take(struct executor *executor, struct control_message *message, size_t first)
{
	void *own = (uint8_t *)executor->counters + VGPU_SCHEDULE_OFFSET;
	const void *permit;

	if (!first) {
		gate_open(&executor->gate, NULL, NULL, -1, -1);
		return true;
	}
	/* The mediator has sealed it against writing. */
	permit = page_map(message->fds[first + SCHEDULE_PERMIT], PROT_READ);
	executor->tenant = page_map(message->fds[first + SCHEDULE_TENANT], PROT_READ | PROT_WRITE);
	if (!permit || !executor->tenant)
		return false;
	gate_open(&executor->gate, permit, own, descriptor_take(message, first + SCHEDULE_WAKE),
		  descriptor_take(message, first + SCHEDULE_BELL));
	return true;
}

static bool start_take(struct executor *executor, struct control_message *message)
{
	const struct vgpu_control_executor_start *start = &message->executor_start;
	size_t schedule = start->has_pass_socket ? START_PASS + 1 : START_PASS;
	size_t wanted = start->has_schedule ? schedule + SCHEDULE_COUNT : schedule;
	struct channel_memory memory;
	char text[VGPU_CONTROL_TEXT_BYTES];
	int error;

	executor->vm_id = start->vm_id;
	executor->channel_number = start->channel;
	executor->can_share = start->can_share;
	executor->allows_pageable = start->allows_pageable;
	executor->tells_process = start->tells_process;
	executor->tells_driver = start->tells_driver;
	if (message->fd_count != wanted)
		return start_fail(executor, VGPU_ERROR_PROTOCOL, "the mediator sent %zu descriptors instead of %zu",
				  message->fd_count, wanted);
	executor->counters = page_map(message->fds[START_COUNTERS], PROT_READ | PROT_WRITE);
	if (!executor->counters)
		return start_fail(executor, VGPU_ERROR_NO_MEMORY, "cannot map the counters: %s", strerror(errno));
	if (!schedule_take(executor, message, start->has_schedule ? schedule : 0))
		return start_fail(executor, VGPU_ERROR_NO_MEMORY, "cannot map the permit: %s", strerror(errno));
	memory = channel_memory_of(start, message->fds[START_MEMORY]);
	error = channel_open(&executor->channel, &memory, message->fds[START_DOORBELL], message->fds[START_INTERRUPT]);
	if (error)
		return start_fail(executor,
				  error == -EINVAL || error == -EFBIG ? VGPU_ERROR_PROTOCOL : VGPU_ERROR_NO_MEMORY,
				  "cannot map the channel's memory: %s", strerror(-error));
	descriptor_take(message, START_DOORBELL);
	descriptor_take(message, START_INTERRUPT);
	if (start->has_pass_socket)
		executor->pass = descriptor_take(message, START_PASS);
	if (!driver_open(start->driver_library, &executor->driver, text, sizeof(text)))
		return start_fail(executor, VGPU_ERROR_NO_DRIVER, "%s", text);
	return true;
}

bool start_run(struct executor *executor)
{
	struct control_message message;
	bool is_started = false;
	int error;

	if (!message_receive(executor, &message))
		return false;
	if (message.header.type != VGPU_CONTROL_EXECUTOR_START)
		log_write("the mediator sent message %u instead of a start", message.header.type);
	else
		is_started = start_take(executor, &message);
	control_message_release(&message);
	if (!is_started)
		return false;
	host_functions_open(executor);
	account_open(&executor->account);
	latency_open(&executor->latency);
	error = copy_open(&executor->copies);
	if (!error)
		error = print_open(&executor->print);
	if (error)
		return start_fail(executor, VGPU_ERROR_NO_MEMORY, "cannot make buffers: %s", strerror(-error));
	return true;
}

bool start_ready_send(struct executor *executor)
{
	return channel_message_send(executor, VGPU_CONTROL_EXECUTOR_READY, VGPU_ERROR_NONE, "");
}

void start_driver_send(const struct executor *executor)
{
	struct control_message message = {.driver_result = {.result = (uint32_t)executor->init_result}};

	if (!executor->tells_driver)
		return;
	snprintf(message.driver_result.name, sizeof(message.driver_result.name), "%s",
		 driver_error_name(&executor->driver, executor->init_result));
	/* It is only told: nothing here depends on it. */
	(void)control_send(executor->control, VGPU_CONTROL_DRIVER_RESULT, &message);
}

void start_fault_send(struct executor *executor)
{
	channel_message_send(executor, VGPU_CONTROL_EXECUTOR_FAULT, executor->fault, executor->fault_text);
}
