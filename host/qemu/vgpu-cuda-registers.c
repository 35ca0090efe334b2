/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of vgpu-cuda: what a guest reads, and what its writes do.  See
 * vgpu_device.h.
 */
#include "qemu/osdep.h"

#include "vgpu-cuda.h"

/*
 * NULL: there is none. Another processor's access may have found the registers before the device was unplugged, and get
 * here when its channels are gone already.
 */
static VgpuChannel *vgpu_channel_at(VgpuState *s, hwaddr index)
{
    return s->channels && index < s->channel_count ? &s->channels[index] : NULL;
}

static uint32_t vgpu_channel_register_read(const VgpuChannel *channel, hwaddr address)
{
    switch (address) {
    case VGPU_CHANNEL_STATE:
        return channel->state;
    case VGPU_CHANNEL_ERROR:
        return channel->error;
    case VGPU_CHANNEL_GENERATION:
        return channel->generation;
    default:
        return 0;
    }
}

uint64_t vgpu_register_read(void *opaque, hwaddr address, unsigned size)
{
    VgpuState *s = opaque;
    VgpuChannel *channel;

    if (address >= VGPU_CHANNEL_REGISTERS) {
        channel = vgpu_channel_at(s, (address - VGPU_CHANNEL_REGISTERS) / VGPU_CHANNEL_STRIDE);
        return channel ? vgpu_channel_register_read(channel, address % VGPU_CHANNEL_STRIDE) : 0;
    }
    switch (address) {
    case VGPU_REGISTER_MAGIC:
        return VGPU_MAGIC;
    case VGPU_REGISTER_VERSION:
        return VGPU_PROTOCOL_VERSION;
    case VGPU_REGISTER_CHANNEL_COUNT:
        return s->channel_count;
    case VGPU_REGISTER_CHANNEL_BYTES:
        return s->channel_bytes;
    case VGPU_REGISTER_VM_ID:
        return s->vm_id;
    case VGPU_REGISTER_POOL_ID:
        return s->pool_id[0];
    case VGPU_REGISTER_PRIORITY:
        return s->priority;
    case VGPU_REGISTER_STATUS:
        return s->link.accepted ? VGPU_STATUS_MEDIATOR : 0;
    default:
        return 0;
    }
}

/* Only with tracing on: otherwise a doorbell goes from KVM, or from QEMU's memory core,
 * straight to the executor. */
static void vgpu_doorbell_trace(VgpuChannel *channel)
{
    VgpuState *s = channel->device;

    vgpu_log(s, "CUDA DOORBELL RING");
    vgpu_log(s, "PROCESSING CUDA DOORBELL");
    if (channel->state != VGPU_CHANNEL_READY) {
        return;
    }
    vgpu_log(s, "SENDING CUDA CALL to mediator");
    event_notifier_set(&channel->doorbell);
    vgpu_log(s, "CUDA CALL SENT to mediator");
}

static void vgpu_channel_command(VgpuChannel *channel, uint64_t command)
{
    switch (command) {
    case VGPU_CHANNEL_COMMAND_OPEN:
        vgpu_channel_open(channel);
        break;
    case VGPU_CHANNEL_COMMAND_CLOSE:
        vgpu_channel_close(channel);
        break;
    default:
        break;
    }
}

void vgpu_register_write(void *opaque, hwaddr address, uint64_t value, unsigned size)
{
    VgpuState *s = opaque;
    VgpuChannel *channel;

    if (address >= VGPU_DOORBELLS) {
        channel = vgpu_channel_at(s, (address - VGPU_DOORBELLS) / VGPU_DOORBELL_STRIDE);
        if (s->trace && channel && address % VGPU_DOORBELL_STRIDE == 0) {
            vgpu_doorbell_trace(channel);
        }
    } else if (address >= VGPU_CHANNEL_REGISTERS) {
        channel = vgpu_channel_at(s, (address - VGPU_CHANNEL_REGISTERS) / VGPU_CHANNEL_STRIDE);
        if (channel && address % VGPU_CHANNEL_STRIDE == VGPU_CHANNEL_COMMAND) {
            vgpu_channel_command(channel, value);
        }
    } else if (address == VGPU_REGISTER_RESET) {
        vgpu_channels_close(s);
    }
}
