/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI device vgpu-cuda, shared between its files:
 *   vgpu-cuda.c            the device in QEMU: memory, interrupts, properties
 *   vgpu-cuda-registers.c  what the guest reads and writes
 *   vgpu-cuda-channel.c    the state of each channel
 *   vgpu-cuda-link.c       the connection to the mediator
 * All but the first also serve host/xen, where the device is a process of its own.
 *
 * Theory of operation.  The device only introduces the guest to an executor:
 * it hands the descriptors of BAR1's memory, of a doorbell and of an interrupt
 * to the mediator, and then takes no part in the data path.  All of it runs in
 * QEMU's main loop or in a vCPU thread, in both cases under the big lock, and
 * never blocks: the socket is non-blocking, and a mediator that does not read
 * is treated like one that is gone.
 *
 * Invariants of a channel:
 *   - 'known' means that the mediator of the present connection was told OPEN
 *     for this generation and has not said CLOSED.  CLOSING implies 'known'.
 *   - a channel becomes CLOSED only with its memory zeroed: by the mediator
 *     when it says CLOSED, by this device otherwise.
 *   - at most two packets of a channel (OPEN, CLOSE) are unanswered, so that
 *     the guest cannot make the socket's queue grow.
 */
#ifndef VGPU_CUDA_H
#define VGPU_CUDA_H

#include "hw/pci/pci.h"
#if QEMU_VERSION_MAJOR >= 8
#include "hw/pci/pci_device.h"
#endif
#include "qemu/event_notifier.h"
#include "qemu/timer.h"
#include "qom/object.h"

#include "vgpu-cuda-compat.h"
#include "vgpu_control.h"

#define TYPE_VGPU_CUDA "vgpu-cuda"
OBJECT_DECLARE_SIMPLE_TYPE(VgpuState, VGPU_CUDA)

typedef struct VgpuChannel {
    VgpuState *device;
    uint32_t state; /* enum vgpu_channel_state */
    uint32_t error; /* enum vgpu_channel_error */
    uint32_t generation;
    bool known;
    bool zero_at_open;       /* its executor may have outlived the mediator's end */
    EventNotifier doorbell;  /* guest to executor */
    EventNotifier interrupt; /* executor to guest */
    int virq;                /* -1: the vector has no irqfd route */
} VgpuChannel;

typedef struct VgpuLink {
    int socket; /* -1: not connected */
    bool accepted;
    char reported[256];  /* why it is not connected, as last logged */
    unsigned wait_ticks; /* before the next attempt, or for the answer */
    QEMUTimer *timer;
} VgpuLink;

struct VgpuState {
    PCIDevice parent_obj;

    MemoryRegion registers;
    MemoryRegion memory;
    VgpuChannel *channels;
    unsigned ready_channels; /* whose event notifiers exist */
    bool irqfd;
    int64_t report_second; /* in which report_count lines were logged */
    unsigned report_count;
    VgpuLink link;

    char *pool_id;
    char *priority_name;
    char *socket_path;
    uint32_t vm_id;
    uint32_t channel_count;
    uint64_t channel_bytes;
    bool trace;

    uint32_t priority; /* enum vgpu_priority */

    /* 0 in QEMU: there BAR1 is a memory file. */
    uint32_t xen_domain;
    uint32_t xen_frame; /* guest frame where BAR1 is now */
};

#define VGPU_VECTOR_STATES   0
#define VGPU_VECTOR(channel) (1 + (channel))

static inline unsigned vgpu_channel_index(const VgpuChannel *channel)
{
    return channel - channel->device->channels;
}

/* One line for the operator on QEMU's standard error. */
void vgpu_log(const VgpuState *s, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Nothing happens while the guest has MSI-X off. */
void vgpu_interrupt_raise(VgpuState *s, unsigned vector);

/* For MemoryRegionOps; 'opaque' is the VgpuState. */
uint64_t vgpu_register_read(void *opaque, hwaddr address, unsigned size);
void vgpu_register_write(void *opaque, hwaddr address, uint64_t value, unsigned size);

/* The guest's commands; one that does not fit the channel's state is ignored. */
void vgpu_channel_open(VgpuChannel *channel);
void vgpu_channel_close(VgpuChannel *channel);
void vgpu_channels_close(VgpuState *s);

/*
 * Clears one of a channel's eventfds; false: nothing was there. Does not wait, whatever an executor, which has it too,
 * has made of its flags; before Linux 5.8 it does.
 */
bool vgpu_event_take(EventNotifier *notifier);

/* Called by the link. */
void vgpu_mediator_connected(VgpuState *s);
void vgpu_mediator_lost(VgpuState *s);
/* False: the message makes no sense, the connection is not to be kept. */
bool vgpu_channel_message(VgpuState *s, uint32_t type,
                          const struct vgpu_control_channel *message);

/* The link. Never blocks; the first attempt is made at once. */
void vgpu_link_start(VgpuState *s);
void vgpu_link_stop(VgpuState *s);
/* Tells the mediator; false and a lost connection when it cannot be told. */
bool vgpu_link_send_channel(VgpuState *s, uint32_t type, unsigned index);

#endif
