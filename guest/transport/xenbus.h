/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XenStore as a process of a guest of Xen reaches it: the wire protocol (xen/include/public/io/xs_wire.h) over
 * /dev/xen/xenbus, so that the guest needs no library of Xen. One thread at a time. Paths are relative to the
 * guest's own. The calls wait for the host's xenstored.
 */
#ifndef VGPU_XENBUS_H
#define VGPU_XENBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xenbus {
	int fd;
	uint32_t requests;
	bool changed; /* a watch has fired since xenbus_changed_take() */
};

/* 0, or -1 with errno. */
int xenbus_open(struct xenbus *bus);
void xenbus_close(struct xenbus *bus);

/* The bytes of the node's value, cut to 'capacity'; -1 with errno, ENOENT: there is no such node. */
int xenbus_read(struct xenbus *bus, const char *path, char *value, size_t capacity);
/* 0, or -1 with errno. */
int xenbus_write(struct xenbus *bus, const char *path, const char *text);
int xenbus_remove(struct xenbus *bus, const char *path);
/* Notes changes of the node and what is below it from now on; fires once at once. */
int xenbus_watch(struct xenbus *bus, const char *path);

/* Waits until a watch has fired, and forgets it. False: none has for timeout_ms. */
bool xenbus_changed_take(struct xenbus *bus, int timeout_ms);

#endif
