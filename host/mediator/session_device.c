/* SPDX-License-Identifier: Apache-2.0 */
#include "session_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "admission.h"
#include "adoption.h"
#include "log.h"
#include "mediator.h"
#include "vgpu_channel.h"

#define MEBIBYTE (1u << 20)

static const char *const priority_names[] = {
	[VGPU_PRIORITY_LOW] = "low",
	[VGPU_PRIORITY_MEDIUM] = "medium",
	[VGPU_PRIORITY_HIGH] = "high",
};

/* Who is connected as this VM, or still has executors of it. */
static const struct session *vm_find(const struct mediator *mediator, uint32_t vm_id)
{
	const struct session *session;

	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (session->kind == SESSION_DEVICE && session->vm_id == vm_id &&
		    (session->socket >= 0 || session->channels_open > 0))
			return session;
	}
	return NULL;
}

static uint32_t vm_id_make(const struct mediator *mediator)
{
	uint32_t vm_id = VM_ID_AUTOMATIC_FIRST;

	/* Ends: there are fewer sessions than numbers. */
	while (vm_find(mediator, vm_id))
		vm_id++;
	return vm_id;
}

/*
 * The file must be memory that cannot shrink, for reading beyond its end is SIGBUS, and that we and
 * the executor may write. Only memory files have seals.
 */
static const char *memory_check(int memory, uint64_t bytes)
{
	int seals = fcntl(memory, F_GET_SEALS);
	struct stat status;

	if (seals < 0)
		return "BAR1's file is no memory file";
	if ((seals & F_SEAL_SHRINK) == 0)
		return "BAR1's file is not sealed against shrinking";
	if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0)
		return "BAR1's file is sealed against writing";
	if ((fcntl(memory, F_GETFL) & O_ACCMODE) != O_RDWR)
		return "BAR1's file is not open for writing";
	if (fstat(memory, &status) < 0 || !S_ISREG(status.st_mode))
		return "BAR1's file is no memory file";
	if (status.st_size < 0 || (uint64_t)status.st_size < bytes)
		return "BAR1's file is smaller than its channels";
	return NULL;
}

/*
 * Pages of a guest of Xen are reached through the privcmd or the gntdev device. Who opened it could have mapped them
 * itself, so the descriptor gives nobody more than he had.
 */
static const char *xen_memory_check(int memory, bool is_granted)
{
	struct statx given;
	struct stat device;

	if (stat(is_granted ? "/dev/xen/gntdev" : "/dev/xen/privcmd", &device) < 0)
		return "a guest of Xen, and this is no host of Xen";
	/* As the kernel knows it: of a file of FUSE, which could not be one of these, its server is not asked. */
	if (statx(memory, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &given) < 0 || !S_ISCHR(given.stx_mode) ||
	    makedev(given.stx_rdev_major, given.stx_rdev_minor) != device.st_rdev)
		return is_granted ? "the grants of a guest of Xen are not behind gntdev"
				  : "the memory of a guest of Xen is not behind privcmd";
	return NULL;
}

/* A sentence, or NULL if all is well. */
static const char *hello_check(const struct control_message *message)
{
	const struct vgpu_control_device_hello *hello = &message->device_hello;

	if (message->fd_count != 1)
		return "the hello has not exactly one descriptor";
	if (hello->channel_count == 0 || hello->channel_count > VGPU_CHANNELS_MAX)
		return "the number of channels is out of range";
	/* The upper bound keeps channel_count * channel_bytes far from overflow. */
	if (hello->channel_bytes < VGPU_CHANNEL_BYTES_MIN || hello->channel_bytes % MEBIBYTE != 0 ||
	    hello->channel_bytes > UINT32_MAX)
		return "the size of a channel is out of range";
	if (hello->pool_id < 'A' || hello->pool_id > 'Z')
		return "the pool is none of A to Z";
	if (hello->priority > VGPU_PRIORITY_HIGH)
		return "the priority is unknown";
	if (hello->xen_grants > 1 || (hello->xen_grants && !hello->xen_domain))
		return "grants, and no guest of Xen";
	if (hello->xen_domain)
		return xen_memory_check(message->fds[0], hello->xen_grants);
	return memory_check(message->fds[0], hello->channel_count * hello->channel_bytes);
}

/* The VM's identity decides its limits: so who says it must be allowed to, and only one may have it. */
static bool identity_check(struct session *session, const struct vgpu_control_device_hello *hello, uint32_t *ret_vm_id,
			   char *text)
{
	const struct session *other;

	if (!session->devices_allowed) {
		snprintf(text, VGPU_CONTROL_TEXT_BYTES, SESSION_NO_DEVICE, (unsigned)session->peer.uid);
		return false;
	}
	if (hello->vm_id == 0 && !session->mediator->configuration.vm_id_automatic) {
		snprintf(text, VGPU_CONTROL_TEXT_BYTES,
			 "vm_id is 0: give the device a property vm_id=N, or set vm-id-automatic = yes");
		return false;
	}
	if (hello->vm_id == 0) {
		*ret_vm_id = vm_id_make(session->mediator);
		return true;
	}
	other = vm_find(session->mediator, hello->vm_id);
	if (other) {
		snprintf(text, VGPU_CONTROL_TEXT_BYTES, "vm_id %u is %s (pid %d)", hello->vm_id,
			 other->socket >= 0 ? "already connected" : "still being closed", (int)other->peer.pid);
		return false;
	}
	*ret_vm_id = hello->vm_id;
	return true;
}

void session_device_hello(struct session *session, struct control_message *message)
{
	const struct vgpu_control_device_hello *hello = &message->device_hello;
	const char *problem = hello_check(message);
	char text[VGPU_CONTROL_TEXT_BYTES];
	uint32_t vm_id;

	if (problem) {
		session_reply(session, VGPU_ERROR_PROTOCOL, problem);
		return;
	}
	if (!identity_check(session, hello, &vm_id, text)) {
		session_reply(session, VGPU_ERROR_REFUSED, text);
		return;
	}
	session->tenant =
		tenant_take(session->mediator, &(struct tenant_key){.kind = TENANT_VM, .id = vm_id}, hello->priority);
	if (!session->tenant) {
		session_tenant_missing(session);
		return;
	}
	session->kind = SESSION_DEVICE;
	session->log = &session->vm_log;
	session->vm_id = vm_id;
	session->pool_id = hello->pool_id;
	tenant_device_take(session->tenant, hello->pool_id, hello->priority);
	session->priority = hello->priority;
	session->channel_count = hello->channel_count;
	session->channel_bytes = hello->channel_bytes;
	session->xen_domain = hello->xen_domain;
	session->xen_grants = hello->xen_grants;
	session->memory = message->fds[0];
	message->fds[0] = -1;
	log_text_copy(session->name, sizeof(session->name), hello->vm_name, sizeof(hello->vm_name));
	log_info("[CONNECTION] New connection: vm_id=%u pool=%c priority=%s name=\"%s\" channels=%u of %llu MiB pid=%d "
		 "uid=%u",
		 vm_id, (char)session_pool(session), priority_names[session->tenant->settings.priority], session->name,
		 session->channel_count, (unsigned long long)(session->channel_bytes / MEBIBYTE),
		 (int)session->peer.pid, (unsigned)session->peer.uid);
	session_reply(session, VGPU_ERROR_NONE, "");
	adoption_session_keep(session);
}

static void channel_message_send(struct session *session, enum vgpu_control_type type, uint32_t index,
				 uint32_t generation, enum vgpu_channel_error error, const char *text)
{
	struct control_message message = {
		.channel = {.channel = index, .generation = generation, .error = error},
	};

	snprintf(message.channel.text, sizeof(message.channel.text), "%s", text);
	session_send(session, type, &message);
}

static void channel_report(struct channel *channel, enum vgpu_control_type type, enum vgpu_channel_error error,
			   const char *text)
{
	channel_message_send(channel->request.owner, type, channel->request.index, channel->request.generation, error,
			     text);
}

static void device_channel_ready(struct channel *channel)
{
	channel_report(channel, VGPU_CONTROL_CHANNEL_READY, VGPU_ERROR_NONE, "");
}

static void device_channel_refused(struct channel *channel, enum vgpu_channel_error error, const char *text)
{
	session_channel_closed(channel->request.owner, channel->request.index);
	channel_report(channel, VGPU_CONTROL_CHANNEL_FAILED, error, text);
}

static void device_channel_failed(struct channel *channel, enum vgpu_channel_error error, const char *text)
{
	channel_report(channel, VGPU_CONTROL_CHANNEL_FAILED, error, text);
}

static void device_channel_lost(struct channel *channel, enum vgpu_channel_error error, const char *text)
{
	channel_report(channel, VGPU_CONTROL_CHANNEL_LOST, error, text);
}

static void device_channel_closed(struct channel *channel)
{
	struct session *session = channel->request.owner;
	uint32_t index = channel->request.index;

	session_channel_closed(session, index);
	channel_message_send(session, VGPU_CONTROL_CHANNEL_CLOSED, index, session->close_generations[index],
			     VGPU_ERROR_NONE, "");
}

static const struct channel_handlers device_handlers = {
	.ready = device_channel_ready,
	.refused = device_channel_refused,
	.failed = device_channel_failed,
	.lost = device_channel_lost,
	.closed = device_channel_closed,
};

void session_device_request(struct session *session, uint32_t index, uint32_t generation, char *label,
			    size_t label_bytes, struct channel_request *ret_request)
{
	snprintf(label, label_bytes, "vm_id=%u channel=%u", session->vm_id, index);
	*ret_request = (struct channel_request){
		.owner = session,
		.handlers = &device_handlers,
		.label = label,
		.log = session->log,
		.pace = &session->pace,
		.tenant = session->tenant,
		.vm_id = session->vm_id,
		.index = index,
		.generation = generation,
		.pool_id = session_pool(session),
		.memory = session->memory,
		.offset = index * session->channel_bytes,
		.bytes = session->channel_bytes,
		/* A guest of Xen gives pages that the driver cannot register. */
		.has_area = !session->xen_domain,
		.xen_domain = session->xen_domain,
		.xen_grants = session->xen_grants,
		.doorbell = -1,
		.interrupt = -1,
		.pass_socket = -1,
	};
}

static void channel_open_take(struct session *session, struct control_message *message)
{
	uint32_t index = message->channel.channel;
	uint32_t generation = message->channel.generation;
	unsigned limit = session->mediator->configuration.vm_processes_max;
	char label[64];
	char text[VGPU_CONTROL_TEXT_BYTES];
	struct channel_request request;
	enum vgpu_channel_error error;

	if (session->channels[index]) {
		channel_message_send(session, VGPU_CONTROL_CHANNEL_FAILED, index, generation, VGPU_ERROR_PROTOCOL,
				     "the channel is not closed");
		return;
	}
	session_device_request(session, index, generation, label, sizeof(label), &request);
	if (session->channels_open >= limit) {
		admission_refusal_note(session->mediator, &request);
		snprintf(text, sizeof(text), "the VM's limit of %u processes is reached", limit);
		channel_message_send(session, VGPU_CONTROL_CHANNEL_FAILED, index, generation, VGPU_ERROR_REFUSED, text);
		return;
	}
	request.doorbell = message->fds[0];
	request.interrupt = message->fds[1];
	request.xen_frame = message->channel.xen_frame;
	message->fd_count = 0;
	error = channel_open(session->mediator, &request, &session->channels[index], text);
	if (error == VGPU_ERROR_NONE) {
		session->channels_open++;
		return;
	}
	log_write_limited(&session->log->events, LOG_LEVEL_WARNING, "[CHANNEL] %s: refused: %s", label, text);
	channel_message_send(session, VGPU_CONTROL_CHANNEL_FAILED, index, generation, error, text);
}

static void channel_close_take(struct session *session, const struct control_message *message)
{
	uint32_t index = message->channel.channel;

	session->close_generations[index] = message->channel.generation;
	if (session->channels[index])
		channel_close(session->channels[index]);
	else
		channel_message_send(session, VGPU_CONTROL_CHANNEL_CLOSED, index, message->channel.generation,
				     VGPU_ERROR_NONE, "");
}

/* A write to the eventfd must not be able to block an executor: any other kind of file might. */
static bool descriptor_is_eventfd(int descriptor)
{
	char path[64];
	char target[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	return strcmp(target, "anon_inode:[eventfd]") == 0;
}

void session_device_message(struct session *session, struct control_message *message)
{
	uint32_t type = message->header.type;

	if (type != VGPU_CONTROL_CHANNEL_OPEN && type != VGPU_CONTROL_CHANNEL_CLOSE) {
		session_end(session, "the device sent an unexpected message");
	} else if (message->channel.channel >= session->channel_count) {
		session_end(session, "the device named a channel that it does not have");
	} else if (type == VGPU_CONTROL_CHANNEL_CLOSE) {
		channel_close_take(session, message);
	} else if (message->fd_count != 2 || !descriptor_is_eventfd(message->fds[0]) ||
		   !descriptor_is_eventfd(message->fds[1])) {
		session_end(session, "the device opened a channel without two eventfds");
	} else {
		channel_open_take(session, message);
	}
}
