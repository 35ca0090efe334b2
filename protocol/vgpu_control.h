/* SPDX-License-Identifier: GPL-2.0-or-later OR Apache-2.0 */
/*
 * Control messages between the mediator and its peers: the QEMU device, local
 * clients and executors.  The data path (rings, doorbells) does not pass here.
 *
 * All sockets are SOCK_SEQPACKET: a message is one packet, a struct
 * vgpu_control_header followed by the body that its type names, with descriptors
 * as SCM_RIGHTS.  A packet of another size than its type says, or an unexpected
 * type, ends the connection.  Who the peer is comes from SO_PEERCRED, never from
 * the message.
 *
 * Device (one connection per VM, kept open; the device reconnects once a second):
 *   -> DEVICE_HELLO + fd: BAR1's memory            <- HELLO_REPLY
 *   -> CHANNEL_OPEN + fds: doorbell, interrupt     <- CHANNEL_READY or CHANNEL_FAILED
 *   -> CHANNEL_CLOSE                               <- CHANNEL_CLOSED (executor gone, memory zeroed)
 *                                                  <- CHANNEL_LOST (executor died)
 * When this connection ends, every channel of it is closed. With error VGPU_ERROR_KERNEL_TIMEOUT the device writes
 * CUDA_ERROR_LAUNCH_TIMEOUT to lost_result (vgpu_channel.h) before the guest sees the loss.
 * BAR1's memory is a memory file. Only for a guest of Xen (xen_domain not 0) it is pages of the guest, and the
 * descriptor is Xen's privcmd device, restricted to that domain: who is given it maps the frames that
 * CHANNEL_OPEN names. The device zeroes them before the guest uses a channel again. With xen_grants the descriptor is
 * Xen's gntdev device instead, and CHANNEL_OPEN names the place in it that the guest's grants of this channel have.
 *
 * Local client (one connection per process, kept open as long as it lives):
 *   -> CLIENT_HELLO      <- HELLO_REPLY, and if accepted
 *                        <- CLIENT_CHANNEL + fds: channel memory, doorbell, interrupt, pass socket
 *                        <- CHANNEL_LOST
 *
 * Executor (a socket pair made by the mediator, descriptor VGPU_EXECUTOR_CONTROL_FD of the executor):
 *   <- EXECUTOR_START + fds: channel memory, doorbell, interrupt, counters, pass socket (local clients only),
 *      and with has_schedule: permit page, tenant page, wake, bell (vgpu_schedule.h). It polls and reads 'wake', eight
 *      bytes at a time, and rings by writing eight bytes to 'bell', which nobody else has (wakeup.h says why)
 *   -> EXECUTOR_READY or EXECUTOR_FAILED
 *   -> TENANT_QUERY      <- TENANT_REPLY (telemetry: which processes of the same tenant use a device)
 *   -> SHARE_PUBLISH     <- SHARE_REPLY  (a handle of the driver's, for other processes of the same tenant)
 *   -> SHARE_QUERY       <- SHARE_REPLY  (what another process of the same tenant has published)
 *   -> GUEST_PROCESS     <- GUEST_DEVICES (with tells_process: who has greeted, and which device NVML is to show it)
 *   -> DRIVER_RESULT     (with tells_driver: what cuInit has returned)
 *   -> EXECUTOR_FAULT (the executor ends: the guest broke the protocol, or the host failed it; vgpu_executor_word())
 * A context that is lost is no fault: the guest process learns it from its calls' results, as on the real
 * driver, and may go on in another context.
 * An executor ends when this socket is closed.
 *
 * Doorbell and interrupt are eventfds: the guest's side writes the doorbell and
 * the executor reads it; the executor writes the interrupt. At a worker the doorbell is read as 'wake' is.
 */
#ifndef VGPU_CONTROL_H
#define VGPU_CONTROL_H

#include <stdint.h>

#include "vgpu_device.h"

#define VGPU_CONTROL_MAGIC	  0x4c544356 /* "VCTL" */
#define VGPU_CONTROL_BYTES_MAX	  1024
#define VGPU_CONTROL_FDS_MAX	  12
#define VGPU_CONTROL_TEXT_BYTES	  160
#define VGPU_CONTROL_TENANT_BYTES 80
#define VGPU_EXECUTOR_CONTROL_FD  3

#define VGPU_SOCKET_PATH	  "/var/vgpu/mediator.sock"
#define VGPU_SOCKET_PATH_FALLBACK "/tmp/vgpu-mediator.sock"

enum vgpu_control_type {
	VGPU_CONTROL_DEVICE_HELLO = 1,
	VGPU_CONTROL_CLIENT_HELLO = 2,
	VGPU_CONTROL_HELLO_REPLY = 3,
	VGPU_CONTROL_CHANNEL_OPEN = 4,
	VGPU_CONTROL_CHANNEL_READY = 5,
	VGPU_CONTROL_CHANNEL_FAILED = 6,
	VGPU_CONTROL_CHANNEL_CLOSE = 7,
	VGPU_CONTROL_CHANNEL_CLOSED = 8,
	VGPU_CONTROL_CHANNEL_LOST = 9,
	VGPU_CONTROL_CLIENT_CHANNEL = 10,
	VGPU_CONTROL_EXECUTOR_START = 11,
	VGPU_CONTROL_EXECUTOR_READY = 12,
	VGPU_CONTROL_EXECUTOR_FAILED = 13,
	VGPU_CONTROL_EXECUTOR_FAULT = 14,
	VGPU_CONTROL_TENANT_QUERY = 40,
	VGPU_CONTROL_TENANT_REPLY = 41,
	VGPU_CONTROL_SHARE_PUBLISH = 50,
	VGPU_CONTROL_SHARE_QUERY = 51,
	VGPU_CONTROL_SHARE_REPLY = 52,
	VGPU_CONTROL_SHARE_WITHDRAW = 53,
	VGPU_CONTROL_GUEST_PROCESS = 60,
	VGPU_CONTROL_GUEST_DEVICES = 61,
	VGPU_CONTROL_DRIVER_RESULT = 62,
};

struct vgpu_control_header {
	uint32_t magic;
	uint32_t type;
	uint32_t bytes;	  /* of the whole packet */
	uint32_t version; /* VGPU_PROTOCOL_VERSION of the sender */
};

struct vgpu_control_device_hello {
	struct vgpu_control_header header;
	uint32_t vm_id;
	uint32_t pool_id;  /* 'A'.. */
	uint32_t priority; /* enum vgpu_priority */
	uint32_t channel_count;
	uint64_t channel_bytes;
	uint8_t vm_uuid[16]; /* zero: none */
	char vm_name[64];    /* NUL-terminated, may be empty */
	uint32_t xen_domain; /* 0: no guest of Xen */
	uint32_t xen_grants; /* 1: its channels are memory that it grants (vgpu_xen_grants.h) */
};

struct vgpu_control_client_hello {
	struct vgpu_control_header header;
	uint32_t job_vm_id; /* not 0: it runs a job of that VM, which vgpu-jobs says, and nobody else may */
	uint32_t reserved;
	char process_name[64];
};

struct vgpu_control_hello_reply {
	struct vgpu_control_header header;
	uint32_t error; /* enum vgpu_channel_error; VGPU_ERROR_NONE: accepted */
	uint32_t reserved;
	char text[VGPU_CONTROL_TEXT_BYTES];
};

/* CHANNEL_OPEN, READY, FAILED, CLOSE, CLOSED, LOST; EXECUTOR_READY, FAILED, FAULT */
struct vgpu_control_channel {
	struct vgpu_control_header header;
	uint32_t channel;
	uint32_t generation; /* of CHANNEL_OPEN; a late answer to an earlier open is ignored */
	uint32_t error;	     /* enum vgpu_channel_error */
	union {
		/*
		 * CHANNEL_OPEN by a guest of Xen: guest frame number of the channel's first page; with xen_grants the
		 * number of the page in gntdev's file where the channel's are.
		 */
		uint32_t xen_frame;
		/* EXECUTOR_FAULT of a relay, with EXECUTOR_HUNG: VGPU_PCI_PLACE of the GPU, UINT32_MAX: not known. */
		uint32_t pci_place;
	};
	char text[VGPU_CONTROL_TEXT_BYTES];
};

/*
 * What is taken from an executor of what it says of its own end. Before READY nothing of its guest's has run in it.
 * Afterwards it may have been taken over: but for what blames its guest, it says that it ended, whatever it says.
 */
static inline enum vgpu_channel_error vgpu_executor_word(uint32_t error, int was_ready)
{
	if (error == VGPU_ERROR_PROTOCOL)
		return VGPU_ERROR_PROTOCOL;
	if (was_ready)
		return VGPU_ERROR_EXECUTOR_ENDED;
	return error == VGPU_ERROR_NO_DRIVER || error == VGPU_ERROR_NO_MEMORY ? (enum vgpu_channel_error)error
									      : VGPU_ERROR_EXECUTOR_DIED;
}

struct vgpu_control_client_channel {
	struct vgpu_control_header header;
	uint64_t channel_bytes;
};

struct vgpu_control_executor_start {
	struct vgpu_control_header header;
	uint64_t channel_offset; /* in the memory file */
	uint64_t channel_bytes;
	uint32_t vm_id; /* 0: a local client */
	uint32_t channel;
	uint32_t pool_id;
	uint32_t has_pass_socket;
	uint32_t has_schedule;	    /* 0: the executor is not scheduled and has no limits */
	uint32_t xen_domain;	    /* not 0: the memory is pages of this domain, see DEVICE_HELLO */
	uint32_t xen_frame;	    /* of the channel's first page */
	uint32_t can_share;	    /* SHARE_PUBLISH and the like are answered */
	uint32_t has_area;	    /* a part of the channel is for pinned memory, if it is large enough */
	uint32_t xen_grants;	    /* as in DEVICE_HELLO */
	uint32_t tells_process;	    /* GUEST_PROCESS is answered */
	uint32_t is_far;	    /* the guest is behind a network: windows are as large as there is room for */
	uint64_t process_namespace; /* of a local client; 0: unknown. With 'tenant', for a worker */
	char driver_library[256];   /* path or soname for dlopen */
	char tenant[VGPU_CONTROL_TENANT_BYTES]; /* as the mediator names it; a relay tells the worker */
	uint32_t is_lasting;			/* the tenant is known again by this name; a relay tells the worker */
	uint32_t allows_pageable;		/* devices whose kernels reach all memory of the executor may be used */
	uint32_t tells_driver;			/* DRIVER_RESULT is wanted */
	uint32_t reserved;
};

/* What a guest said in its greeting. */
struct vgpu_control_guest_process {
	struct vgpu_control_header header;
	uint32_t process_id;
	uint32_t is_telemetry;
};

struct vgpu_control_guest_devices {
	struct vgpu_control_header header;
	char visible[64]; /* the only one for NVML, as in CUDA_VISIBLE_DEVICES; empty: those that CUDA would show */
};

/* What cuInit has returned, which is called when the guest has greeted and wants CUDA. */
struct vgpu_control_driver_result {
	struct vgpu_control_header header;
	uint32_t result;
	uint32_t reserved;
	char name[64]; /* of the error */
};

/* A device by its place on the PCI bus, the same for CUDA and NVML: domain (16 bits), bus (8), device (8). */
#define VGPU_PCI_PLACE(domain, bus, device) (((domain)&0xffffu) << 16 | ((bus)&0xffu) << 8 | ((device)&0xffu))

struct vgpu_control_tenant_query {
	struct vgpu_control_header header;
	uint32_t pci_place;
	uint32_t first; /* process of those that use the device; a tenant may have more than fit into a reply */
};

struct vgpu_control_tenant_process {
	uint32_t executor_process; /* on the host */
	uint32_t process_id;	   /* in the guest, as it said itself */
	uint64_t memory_bytes;	   /* of the device, as its executor counts */
};
#define VGPU_CONTROL_TENANT_PROCESSES_MAX 56
struct vgpu_control_tenant_reply {
	struct vgpu_control_header header;
	uint64_t quota_bytes; /* of a device's memory; 0: none */
	uint32_t total;	      /* processes of the tenant that use the device */
	uint32_t first;
	uint32_t count; /* of those that follow */
	uint32_t reserved;
	struct vgpu_control_tenant_process processes[VGPU_CONTROL_TENANT_PROCESSES_MAX];
};

/*
 * SHARE_PUBLISH: kind and handle; the reply has the token. SHARE_QUERY: kind and token; the reply has the
 * handle. Guests see tokens only: what the driver is given was always made by the driver, for a process of the
 * same tenant. A published handle ends with the executor that published it, or when it is withdrawn: SHARE_WITHDRAW
 * has its kind and handle, and no reply.
 * Of physical memory (VGPU_SHARE_ALLOCATION) the driver's handle is a descriptor: it comes with SHARE_PUBLISH and goes
 * with the reply to SHARE_QUERY, and the bytes of the handle are vgpu_share_allocation, which the mediator only
 * compares. The same holds for a pool (VGPU_SHARE_POOL, vgpu_share_pool). Of an allocation from one
 * (VGPU_SHARE_POINTER) the handle is vgpu_share_pointer, of memory (VGPU_SHARE_MEMORY) vgpu_share_memory. Those of
 * events are shorter, with zeros behind.
 */
#define VGPU_SHARE_TOKEN_BYTES	16
#define VGPU_SHARE_HANDLE_BYTES 80
enum vgpu_share_kind {
	VGPU_SHARE_MEMORY = 1,
	VGPU_SHARE_EVENT = 2,
	VGPU_SHARE_ALLOCATION = 3,
	VGPU_SHARE_POOL = 4,
	VGPU_SHARE_POINTER = 5,
};
struct vgpu_share_memory {
	uint8_t data[64]; /* the driver's CUipcMemHandle */
	uint64_t bytes;	  /* of the whole allocation */
};
struct vgpu_share_allocation {
	uint64_t bytes;
	uint64_t number; /* of the executor's allocations */
};
struct vgpu_share_pool {
	uint64_t number;    /* that no other pool has: random */
	uint32_t pci_place; /* of its device */
	uint32_t reserved;
};
struct vgpu_share_pointer {
	uint8_t data[64]; /* the driver's CUmemPoolPtrExportData */
	uint64_t bytes;
	uint64_t pool; /* its number */
};
struct vgpu_control_share {
	struct vgpu_control_header header;
	uint32_t serial; /* of the question, also in its reply */
	uint32_t kind;
	uint32_t is_granted; /* reply: there is what was asked for */
	uint32_t reserved;
	uint8_t token[VGPU_SHARE_TOKEN_BYTES];
	uint8_t handle[VGPU_SHARE_HANDLE_BYTES];
};

/* Is a handle of the kind a descriptor? */
static inline int vgpu_share_has_descriptor(uint32_t kind)
{
	return kind == VGPU_SHARE_ALLOCATION || kind == VGPU_SHARE_POOL;
}

/*
 * Counters of one executor: a memory file of one page, written by the executor (aligned 64-bit
 * stores, relaxed), read by the mediator.
 */
#define VGPU_COUNTED_DEVICES 16
struct vgpu_executor_device {
	uint32_t pci_place;
	uint32_t contexts; /* of the guest process on this device; 0: it does not use it */
	uint64_t memory_bytes;
};

/* Kinds of calls whose latency is counted apart; api/call_class.py says which calls. */
enum vgpu_call_class {
	VGPU_CLASS_LAUNCH,
	VGPU_CLASS_COPY,
	VGPU_CLASS_MEMORY,
	VGPU_CLASS_MODULE,
	VGPU_CLASS_SYNCHRONIZE,
	VGPU_CLASS_OTHER,
	VGPU_CLASS_COUNT,
};

/* Upper ends of the buckets but the last, which has what is longer. */
#define VGPU_LATENCY_BOUNDS_NS \
	2000u, 10000u, 50000u, 250000u, 1000000u, 5000000u, 25000000u, 100000000u, 500000000u, 2500000000u, 10000000000u
#define VGPU_LATENCY_BUCKETS 12
struct vgpu_latency {
	uint64_t buckets[VGPU_LATENCY_BUCKETS]; /* calls; not cumulative */
	uint64_t sum_ns;
};

struct vgpu_executor_counters {
	uint64_t calls; /* records executed */
	uint64_t launches;
	uint64_t launches_chained; /* of these, given to the driver in graphs */
	uint64_t bytes_to_device;
	uint64_t bytes_from_device;
	uint64_t errors;       /* calls that failed */
	uint64_t memory_bytes; /* device memory now allocated by the guest process */
	uint64_t pinned_bytes;
	uint64_t wakeups;    /* times the executor slept and was woken */
	uint64_t process_id; /* of the guest process, as it said itself */
	struct vgpu_executor_device devices[VGPU_COUNTED_DEVICES];
	struct vgpu_latency latencies[VGPU_CLASS_COUNT];
};

#endif
