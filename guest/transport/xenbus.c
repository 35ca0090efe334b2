/* SPDX-License-Identifier: Apache-2.0 */
#include "xenbus.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define DEVICE "/dev/xen/xenbus"

/* xen/include/public/io/xs_wire.h, which a guest need not have. */
enum message_type {
	MESSAGE_READ = 2,
	MESSAGE_WATCH = 4,
	MESSAGE_WRITE = 11,
	MESSAGE_REMOVE = 13,
	MESSAGE_WATCH_EVENT = 15,
	MESSAGE_ERROR = 16,
};
#define PAYLOAD_BYTES_MAX 4096

struct message_header {
	uint32_t type;
	uint32_t request;
	uint32_t transaction;
	uint32_t bytes;
};

int xenbus_open(struct xenbus *bus)
{
	*bus = (struct xenbus){.fd = open(DEVICE, O_RDWR | O_CLOEXEC)};
	return bus->fd < 0 ? -1 : 0;
}

void xenbus_close(struct xenbus *bus)
{
	if (bus->fd >= 0)
		close(bus->fd);
	bus->fd = -1;
}

static int bytes_read(int fd, void *buffer, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t got = read(fd, (char *)buffer + done, bytes - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			errno = got < 0 ? errno : EPIPE;
			return -1;
		}
		done += (size_t)got;
	}
	return 0;
}

/* One message whole; watches are noted. 'payload' has PAYLOAD_BYTES_MAX. */
static int message_take(struct xenbus *bus, struct message_header *ret_header, char *payload)
{
	if (bytes_read(bus->fd, ret_header, sizeof(*ret_header)) < 0)
		return -1;
	if (ret_header->bytes > PAYLOAD_BYTES_MAX) {
		errno = EPROTO;
		return -1;
	}
	if (bytes_read(bus->fd, payload, ret_header->bytes) < 0)
		return -1;
	if (ret_header->type == MESSAGE_WATCH_EVENT)
		bus->changed = true;
	return 0;
}

/* XenStore's errors are names. */
static int error_of(const char *name, size_t bytes)
{
	static const struct {
		const char *name;
		int error;
	} errors[] = {
		{"ENOENT", ENOENT}, {"EACCES", EACCES}, {"EPERM", EPERM},   {"EEXIST", EEXIST},
		{"ENOSPC", ENOSPC}, {"E2BIG", E2BIG},	{"EAGAIN", EAGAIN},
	};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (bytes >= strlen(errors[i].name) && strncmp(name, errors[i].name, bytes) == 0)
			return errors[i].error;
	return EIO;
}

/* Sends path, a NUL and 'second', and waits for the answer. Its bytes, or -1 with errno. */
static int call(struct xenbus *bus, enum message_type type, const char *path, const char *second, size_t second_bytes,
		char *payload)
{
	struct message_header header = {
		.type = type,
		.request = ++bus->requests,
		.bytes = (uint32_t)(strlen(path) + 1 + second_bytes),
	};
	char request[sizeof(header) + PAYLOAD_BYTES_MAX];
	size_t bytes = sizeof(header) + header.bytes;
	struct message_header answer;
	ssize_t written;

	if (header.bytes > PAYLOAD_BYTES_MAX) {
		errno = E2BIG;
		return -1;
	}
	memcpy(request, &header, sizeof(header));
	memcpy(request + sizeof(header), path, strlen(path) + 1);
	memcpy(request + sizeof(header) + strlen(path) + 1, second, second_bytes);
	do
		written = write(bus->fd, request, bytes);
	while (written < 0 && errno == EINTR);
	if (written != (ssize_t)bytes) {
		errno = written < 0 ? errno : EIO;
		return -1;
	}
	do {
		if (message_take(bus, &answer, payload) < 0)
			return -1;
	} while (answer.type == MESSAGE_WATCH_EVENT || answer.request != header.request);
	if (answer.type == MESSAGE_ERROR) {
		errno = error_of(payload, answer.bytes);
		return -1;
	}
	return (int)answer.bytes;
}

int xenbus_read(struct xenbus *bus, const char *path, char *value, size_t capacity)
{
	char payload[PAYLOAD_BYTES_MAX];
	int bytes = call(bus, MESSAGE_READ, path, "", 0, payload);

	if (bytes < 0)
		return -1;
	if ((size_t)bytes > capacity)
		bytes = (int)capacity;
	memcpy(value, payload, (size_t)bytes);
	return bytes;
}

int xenbus_write(struct xenbus *bus, const char *path, const char *text)
{
	char payload[PAYLOAD_BYTES_MAX];

	return call(bus, MESSAGE_WRITE, path, text, strlen(text), payload) < 0 ? -1 : 0;
}

int xenbus_remove(struct xenbus *bus, const char *path)
{
	char payload[PAYLOAD_BYTES_MAX];

	return call(bus, MESSAGE_REMOVE, path, "", 0, payload) < 0 ? -1 : 0;
}

int xenbus_watch(struct xenbus *bus, const char *path)
{
	char payload[PAYLOAD_BYTES_MAX];

	/* Its token, which says nothing: what is watched is read again. */
	return call(bus, MESSAGE_WATCH, path, "vgpu", sizeof("vgpu"), payload) < 0 ? -1 : 0;
}

bool xenbus_changed_take(struct xenbus *bus, int timeout_ms)
{
	struct pollfd poller = {.fd = bus->fd, .events = POLLIN};
	struct message_header header;
	char payload[PAYLOAD_BYTES_MAX];
	bool changed;

	while (!bus->changed && poll(&poller, 1, timeout_ms) > 0)
		if (message_take(bus, &header, payload) < 0)
			break;
	changed = bus->changed;
	bus->changed = false;
	return changed;
}
