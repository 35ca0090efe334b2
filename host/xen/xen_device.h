/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI device vgpu-cuda of one HVM guest of Xen, served by this process
 * beside the guest's QEMU, which is not changed and does not know of it.
 *
 * Theory of operation.  Xen sends each access of the guest to the emulator that
 * claimed it, an "ioreq server" (xen/include/public/hvm/ioreq.h).  This process
 * claims one PCI slot, and the ranges where the guest places BAR0 and BAR4.
 * BAR1 is memory of the guest: pages beyond its RAM, which Xen moves
 * (relocate_memory) to where the guest places the BAR, so that the guest reads
 * and writes them without a trap; executors map the same pages.  Registers,
 * channels and the connection to the mediator are the files of host/qemu.
 *
 * All of it runs on one thread, in GLib's main loop.  The guest is hostile: every
 * access is decoded as if it were; an access costs the guest a wait, never us.
 */
#ifndef XEN_DEVICE_H
#define XEN_DEVICE_H

#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>

#include "vgpu-cuda.h"

#define XEN_CONFIG_BYTES 256
#define XEN_VCPUS_MAX	 128  /* HVM_MAX_VCPUS */
#define XEN_TABLE_BYTES	 4096 /* BAR4: the MSI-X table, and the pending bits in its second half */

struct xen_vector {
	uint32_t address_low;
	uint32_t address_high;
	uint32_t data;
	uint32_t control; /* bit 0: masked */
};

struct xen_device {
	VgpuState state;

	xendevicemodel_handle *model;
	xenforeignmemory_handle *memory;
	xenevtchn_handle *events;
	domid_t domain;
	unsigned int slot; /* on bus 0 */

	/* ioreq.c */
	ioservid_t server;
	struct shared_iopage *requests;
	xenforeignmemory_resource_handle *requests_resource;
	unsigned int vcpu_count;
	evtchn_port_t ports[XEN_VCPUS_MAX];

	/* config.c: where the guest placed the BARs, 0: nowhere */
	uint8_t config[XEN_CONFIG_BYTES];
	uint64_t registers_address;
	uint64_t table_address;
	uint64_t memory_bytes; /* of BAR1, a power of two */

	/* interrupts.c */
	unsigned int vector_count;
	struct xen_vector vectors[1 + VGPU_CHANNELS_MAX];
	uint64_t pending[2]; /* raised while masked */
};

/*
 * Opens Xen's interfaces, gives the (paused) domain BAR1's pages, claims the slot and introduces itself to the
 * mediator. state's properties are set by the caller. False: said on standard error.
 */
bool xen_device_start(struct xen_device *device);

/* BAR1 (memory.c). */
bool xen_memory_create(struct xen_device *device);
/* The guest placed BAR1 at this address, 0: nowhere. */
void xen_memory_place(struct xen_device *device, uint64_t address);

/* PCI configuration space (config.c). 'bytes' is 1, 2 or 4. */
void xen_config_reset(struct xen_device *device);
uint32_t xen_config_read(const struct xen_device *device, uint32_t offset, unsigned int bytes);
void xen_config_write(struct xen_device *device, uint32_t offset, uint32_t value, unsigned int bytes);
bool xen_config_interrupts_enabled(const struct xen_device *device);

/* BAR4 and the injection of interrupts (interrupts.c). */
bool xen_interrupts_create(struct xen_device *device);
uint32_t xen_table_read(const struct xen_device *device, uint32_t offset);
void xen_table_write(struct xen_device *device, uint32_t offset, uint32_t value);
/* MSI-X was switched on, or a vector unmasked: what is pending is delivered. */
void xen_interrupts_deliver(struct xen_device *device);

/* The ioreq server (ioreq.c). */
bool xen_ioreq_create(struct xen_device *device);
/* Moves the range in which a BAR's accesses come here; 0: there is none. */
void xen_ioreq_range_move(struct xen_device *device, uint64_t *address, uint64_t wanted, uint64_t bytes);

/* One line for the operator, with errno's text. */
void xen_report(const struct xen_device *device, const char *what);

#endif
