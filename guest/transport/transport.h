/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the guest library reaches an executor: a piece of shared memory laid out
 * as vgpu_channel.h says, a doorbell towards the executor and an interrupt from
 * it.  Three implementations: the PCI device's /dev/vgpu0 (pci.c), memory that a
 * guest of Xen grants (xen.c), and a process of the same machine, through the
 * mediator's socket (local.c).  A test may bring its own.
 *
 * Threads.  transport_ring() and transport_pass() may be called by any number of
 * threads; transport_wait() by one at a time.
 */
#ifndef VGPU_TRANSPORT_H
#define VGPU_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "vgpu_device.h"

enum transport_event {
	TRANSPORT_TIMEOUT,
	TRANSPORT_INTERRUPT, /* the executor has something; spurious ones happen */
	TRANSPORT_LOST,	     /* executor or mediator are gone; stays so */
};

struct transport;

struct transport_operations {
	void (*ring)(struct transport *transport);
	enum transport_event (*wait)(struct transport *transport, int timeout_ms);
	int (*pass)(struct transport *transport, int fd);
	void *(*map)(struct transport *transport, size_t offset, size_t bytes); /* NULL: it cannot */
	void (*close)(struct transport *transport);
};

struct transport {
	const struct transport_operations *operations;
	void *memory; /* the channel's, page aligned */
	size_t bytes;
	bool can_pass;			    /* descriptors reach the executor: VGPU_FEATURE_HOST_MAP is possible */
	enum vgpu_channel_error lost_error; /* why the channel was lost, where the transport is told */
};

/* Why a transport could not be opened: the code decides, the text is for a person. */
struct transport_failure {
	enum vgpu_channel_error error;
	char text[320];
};

/*
 * Opens the transport that the environment variable VGPU_TRANSPORT names (pci, xen or local); without it
 * pci where /dev/vgpu0 exists, else xen where /dev/xen/gntalloc exists and no mediator's socket does, else
 * local.  Blocks until the executor is ready. NULL: see *ret_failure.
 */
struct transport *transport_open(struct transport_failure *ret_failure);

/* Rings the executor's doorbell. */
static inline void transport_ring(struct transport *transport)
{
	transport->operations->ring(transport);
}

/* Blocks until an interrupt, the loss of the channel or the end of timeout_ms (-1: none). */
static inline enum transport_event transport_wait(struct transport *transport, int timeout_ms)
{
	return transport->operations->wait(transport, timeout_ms);
}

/* Passes a descriptor to the executor, in order with earlier ones; it stays the caller's. 0, or -1 with errno. */
static inline int transport_pass(struct transport *transport, int fd)
{
	return transport->operations->pass(transport, fd);
}

/*
 * Maps whole pages of the channel's memory once more, somewhere else. The caller unmaps them (munmap). NULL: it cannot
 * be.
 */
static inline void *transport_map(struct transport *transport, size_t offset, size_t bytes)
{
	return transport->operations->map ? transport->operations->map(transport, offset, bytes) : NULL;
}

/*
 * Closes descriptors and mappings; the executor ends when the last process that has them is gone.
 * Only system calls that are safe in the child of a fork. NULL is fine.
 */
static inline void transport_close(struct transport *transport)
{
	if (transport)
		transport->operations->close(transport);
}

/* The implementations, as transport_open() uses them. */
struct transport *transport_open_pci(const char *path, struct transport_failure *ret_failure);
struct transport *transport_open_xen(struct transport_failure *ret_failure);
/* path NULL: the socket paths of vgpu_control.h, one after the other. */
struct transport *transport_open_local(const char *path, struct transport_failure *ret_failure);

__attribute__((format(printf, 3, 4))) void
transport_failure_set(struct transport_failure *failure, enum vgpu_channel_error error, const char *format, ...);

#endif
