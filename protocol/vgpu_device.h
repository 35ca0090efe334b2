/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The PCI device vgpu-cuda: identity, registers and the layout of a channel.
 * Included by the guest driver (kernel), the QEMU device, the guest library,
 * the mediator and the executor.  Everything is little-endian.
 *
 * BAR0, VGPU_BAR0_BYTES: registers, 32-bit accesses only.
 * BAR1, channel_count * channel_bytes, memory shared with the host: channel i
 *       lies at i * channel_bytes.
 * BAR4: MSI-X table.  Vector 0 reports changes of channel states, vector
 *       1 + i is channel i's own.
 *
 * A channel is opened by writing VGPU_CHANNEL_COMMAND_OPEN, which moves its
 * state CLOSED -> OPENING -> READY or FAILED.  CLOSE moves any state to CLOSING
 * and, when the host has ended the executor and zeroed the channel's memory, to
 * CLOSED.  The host moves READY to LOST when the executor or the mediator is
 * gone; the guest answers with CLOSE.  Every transition that the guest did not
 * make itself raises vector 0.
 */
#ifndef VGPU_DEVICE_H
#define VGPU_DEVICE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

/* 1af4:10f0..10ff may be used for experiments without registration (QEMU, docs/specs/pci-ids). */
#define VGPU_PCI_VENDOR_ID 0x1af4
#define VGPU_PCI_DEVICE_ID 0x10f5
#define VGPU_PCI_CLASS	   0x0302 /* 3D controller */
#define VGPU_PCI_REVISION  1

#define VGPU_PROTOCOL_MAJOR   1
#define VGPU_PROTOCOL_MINOR   0
#define VGPU_PROTOCOL_VERSION ((VGPU_PROTOCOL_MAJOR << 16) | VGPU_PROTOCOL_MINOR)

#define VGPU_BAR0_BYTES		   0x80000
#define VGPU_CHANNELS_MAX	   64
#define VGPU_CHANNEL_BYTES_DEFAULT (64u << 20)

#define VGPU_REGISTER_MAGIC	    0x00 /* RO VGPU_MAGIC */
#define VGPU_REGISTER_VERSION	    0x04 /* RO VGPU_PROTOCOL_VERSION */
#define VGPU_REGISTER_FEATURES	    0x08 /* RO, 0 in version 1.0 */
#define VGPU_REGISTER_CHANNEL_COUNT 0x0c /* RO 1..VGPU_CHANNELS_MAX */
#define VGPU_REGISTER_CHANNEL_BYTES 0x10 /* RO, a multiple of 1 MiB */
#define VGPU_REGISTER_VM_ID	    0x14 /* RO */
#define VGPU_REGISTER_POOL_ID	    0x18 /* RO 'A'..'Z' */
#define VGPU_REGISTER_PRIORITY	    0x1c /* RO enum vgpu_priority */
#define VGPU_REGISTER_STATUS	    0x20 /* RO VGPU_STATUS_* */
#define VGPU_REGISTER_RESET	    0x24 /* WO any value: closes every channel (driver start and crash) */

#define VGPU_MAGIC 0x55504756 /* "VGPU" */

#define VGPU_STATUS_MEDIATOR 0x1 /* the mediator is connected: channels can be opened */

/* One block of registers for each channel. */
#define VGPU_CHANNEL_REGISTERS	   0x1000
#define VGPU_CHANNEL_STRIDE	   0x20
#define VGPU_CHANNEL_COMMAND	   0x00 /* WO VGPU_CHANNEL_COMMAND_* */
#define VGPU_CHANNEL_STATE	   0x04 /* RO enum vgpu_channel_state */
#define VGPU_CHANNEL_ERROR	   0x08 /* RO enum vgpu_channel_error, with FAILED and LOST */
#define VGPU_CHANNEL_GENERATION	   0x0c /* RO, counts the opens */
#define VGPU_CHANNEL_COMMAND_OPEN  1
#define VGPU_CHANNEL_COMMAND_CLOSE 2

/* A page for each channel's doorbell, so that a process can be given its own and no other. */
#define VGPU_DOORBELLS	     0x40000
#define VGPU_DOORBELL_STRIDE 0x1000

enum vgpu_priority {
	VGPU_PRIORITY_LOW = 0,
	VGPU_PRIORITY_MEDIUM = 1,
	VGPU_PRIORITY_HIGH = 2,
};

enum vgpu_channel_state {
	VGPU_CHANNEL_CLOSED = 0,
	VGPU_CHANNEL_OPENING = 1,
	VGPU_CHANNEL_READY = 2,
	VGPU_CHANNEL_FAILED = 3,
	VGPU_CHANNEL_LOST = 4,
	VGPU_CHANNEL_CLOSING = 5,
};

/* Why a channel failed or was lost; also the answer to a local client. */
enum vgpu_channel_error {
	VGPU_ERROR_NONE = 0,
	VGPU_ERROR_NO_MEDIATOR = 1,	/* the mediator is not running */
	VGPU_ERROR_VERSION = 2,		/* the two sides speak different major versions */
	VGPU_ERROR_REFUSED = 3,		/* admission: quarantine, process limit, unknown VM */
	VGPU_ERROR_NO_DRIVER = 4,	/* the host's CUDA driver library is missing or does not start */
	VGPU_ERROR_NO_MEMORY = 5,	/* the host is out of memory or descriptors */
	VGPU_ERROR_EXECUTOR_DIED = 6,	/* the executor crashed or was killed */
	VGPU_ERROR_PROTOCOL = 7,	/* the guest broke the protocol; its executor was ended */
	VGPU_ERROR_MEDIATOR_LOST = 8,	/* the mediator ended while the channel was open */
	VGPU_ERROR_START_TIMEOUT = 9,	/* the executor did not become ready in time */
	VGPU_ERROR_KERNEL_TIMEOUT = 10, /* a kernel ran longer than the tenant's kernels may */
	/* What a worker says of its executor's end, the second also the mediator; guests are told EXECUTOR_DIED. */
	VGPU_ERROR_HOST_MEMORY = 11,	/* its kernel has killed it for want of memory */
	VGPU_ERROR_EXECUTOR_ENDED = 12, /* it ended by itself, or had to be ended: its tenant's fault */
	VGPU_ERROR_EXECUTOR_HUNG = 13,	/* it was stuck in the kernel as other tenants' were: its GPU's */
};

#endif
