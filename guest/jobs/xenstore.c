/* SPDX-License-Identifier: Apache-2.0 */
#include "xenstore.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "vgpu_xenstore.h"

#define DEVICE "/dev/xen/xenbus"

struct xs_handle;

struct job_xenstore {
	void *library;
	struct xs_handle *handle;
	int device; /* locked: one process of the guest at a time */
	uint32_t number;

	/* libxenstore's, opened only here, so that a guest of another hypervisor needs no library of Xen. */
	struct xs_handle *(*open)(unsigned long flags);
	void (*close)(struct xs_handle *handle);
	void *(*read)(struct xs_handle *handle, uint32_t transaction, const char *path, unsigned int *length);
	bool (*write)(struct xs_handle *handle, uint32_t transaction, const char *path, const void *data,
		      unsigned int length);
	bool (*remove)(struct xs_handle *handle, uint32_t transaction, const char *path);
	bool (*watch)(struct xs_handle *handle, const char *path, const char *token);
	char **(*read_watch)(struct xs_handle *handle, unsigned int *count);
};

static bool library_open(struct job_xenstore *store)
{
	store->library = dlopen("libxenstore.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!store->library)
		return false;
	/* POSIX's way to make a function's address of what dlsym gives. */
	*(void **)&store->open = dlsym(store->library, "xs_open");
	*(void **)&store->close = dlsym(store->library, "xs_close");
	*(void **)&store->read = dlsym(store->library, "xs_read");
	*(void **)&store->write = dlsym(store->library, "xs_write");
	*(void **)&store->remove = dlsym(store->library, "xs_rm");
	*(void **)&store->watch = dlsym(store->library, "xs_watch");
	*(void **)&store->read_watch = dlsym(store->library, "xs_read_watch");
	return store->open && store->close && store->read && store->write && store->remove && store->watch &&
	       store->read_watch;
}

/* Relative paths are the guest's own. NULL: there is none; the caller frees it. */
static char *value_read(struct job_xenstore *store, const char *key, unsigned int *ret_length)
{
	char path[80];

	snprintf(path, sizeof(path), "data/%s", key);
	return store->read(store->handle, 0, path, ret_length);
}

static bool value_write(struct job_xenstore *store, const char *key, const char *value, size_t length)
{
	char path[80];

	snprintf(path, sizeof(path), "data/%s", key);
	return store->write(store->handle, 0, path, value, (unsigned int)length);
}

static bool done_read(struct job_xenstore *store, uint32_t *ret_number, unsigned int *ret_parts)
{
	unsigned int length;
	char *text = value_read(store, VGPU_XENSTORE_DONE, &length);
	bool ok = text && sscanf(text, "%u %u", ret_number, ret_parts) == 2;

	free(text);
	return ok;
}

struct job_xenstore *job_xenstore_open(void)
{
	struct job_xenstore *store = calloc(1, sizeof(*store));
	unsigned int ignored;
	char *ready;
	int error = ENOSYS;

	if (!store)
		return NULL;
	store->device = -1;
	if (!library_open(store))
		goto failed;
	error = ENODEV;
	store->device = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (store->device < 0 || flock(store->device, LOCK_EX) < 0)
		goto failed;
	store->handle = store->open(0);
	if (!store->handle)
		goto failed;
	error = ECONNREFUSED;
	ready = value_read(store, VGPU_XENSTORE_READY, &ignored);
	if (!ready)
		goto failed;
	free(ready);
	if (!store->watch(store->handle, "data/" VGPU_XENSTORE_DONE, "done"))
		goto failed;
	/* Goes on after the numbers of earlier processes. */
	if (!done_read(store, &store->number, &ignored))
		store->number = 0;
	return store;
failed:
	job_xenstore_close(store);
	errno = error;
	return NULL;
}

static bool request_write(struct job_xenstore *store, const char *request, size_t bytes)
{
	char text[64];
	unsigned int parts = 0;

	for (size_t at = 0; at < bytes; at += VGPU_XENSTORE_PART_BYTES, parts++) {
		size_t rest = bytes - at;

		snprintf(text, sizeof(text), VGPU_XENSTORE_REQUEST "/%u", parts);
		if (!value_write(store, text, request + at,
				 rest < VGPU_XENSTORE_PART_BYTES ? rest : VGPU_XENSTORE_PART_BYTES))
			return false;
	}
	store->number++;
	snprintf(text, sizeof(text), "%u %u", store->number, parts);
	return value_write(store, VGPU_XENSTORE_SUBMIT, text, strlen(text));
}

/* NULL with errno. */
static char *answer_read(struct job_xenstore *store, unsigned int parts)
{
	char *answer = malloc(VGPU_XENSTORE_BYTES_MAX + 1);
	size_t bytes = 0;

	if (!answer || parts > VGPU_XENSTORE_PARTS_MAX)
		goto failed;
	for (unsigned int i = 0; i < parts; i++) {
		char key[64];
		unsigned int length;
		char *part;

		snprintf(key, sizeof(key), VGPU_XENSTORE_ANSWER "/%u", i);
		part = value_read(store, key, &length);
		if (!part || length > VGPU_XENSTORE_BYTES_MAX - bytes) {
			free(part);
			goto failed;
		}
		memcpy(answer + bytes, part, length);
		bytes += length;
		free(part);
	}
	answer[bytes] = '\0';
	return answer;
failed:
	free(answer);
	errno = EPROTO;
	return NULL;
}

int job_xenstore_call(struct job_xenstore *store, const char *request, char **ret_answer)
{
	size_t bytes = strlen(request);
	uint32_t number;
	unsigned int parts;

	*ret_answer = NULL;
	if (bytes > VGPU_XENSTORE_BYTES_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if (!request_write(store, request, bytes))
		return -1;
	do {
		unsigned int count;
		char **event = store->read_watch(store->handle, &count);

		if (!event)
			return -1;
		free(event);
	} while (!done_read(store, &number, &parts) || number != store->number);
	*ret_answer = answer_read(store, parts);
	/* Nodes count against the guest's quota. */
	store->remove(store->handle, 0, "data/" VGPU_XENSTORE_REQUEST);
	store->remove(store->handle, 0, "data/" VGPU_XENSTORE_ANSWER);
	return *ret_answer ? 0 : -1;
}

void job_xenstore_close(struct job_xenstore *store)
{
	if (!store)
		return;
	if (store->handle)
		store->close(store->handle);
	if (store->device >= 0)
		close(store->device);
	if (store->library)
		dlclose(store->library);
	free(store);
}
