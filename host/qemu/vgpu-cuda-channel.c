/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The states of a channel of vgpu-cuda: what the guest's commands, the
 * mediator's answers and its loss do to them.  See vgpu_device.h.
 */
#include "qemu/osdep.h"

#include <linux/falloc.h>
#include <sys/uio.h>

#include "vgpu-cuda.h"

#include "vgpu_channel.h"

#define VGPU_REPORTS_PER_SECOND 10
#define VGPU_RESULT_LAUNCH_TIMEOUT 702 /* CUDA_ERROR_LAUNCH_TIMEOUT */

bool vgpu_event_take(EventNotifier *notifier)
{
#ifdef RWF_NOWAIT
    uint64_t count;
    struct iovec part = { .iov_base = &count, .iov_len = sizeof(count) };
    ssize_t got;

    do {
        got = preadv2(event_notifier_get_fd(notifier), &part, 1, -1, RWF_NOWAIT);
    } while (got < 0 && errno == EINTR);
    if (got == sizeof(count) || errno == EAGAIN) {
        return got > 0;
    }
#endif
    return event_notifier_test_and_clear(notifier);
}

static void vgpu_channel_memory_zero(VgpuChannel *channel)
{
    VgpuState *s = channel->device;
    uint64_t offset = vgpu_channel_index(channel) * s->channel_bytes;

    /* A hole reads as zeroes, and the pages go back to the host. */
    if (fallocate(memory_region_get_fd(&s->memory),
                  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                  s->channel_bytes) != 0) {
        memset((uint8_t *)memory_region_get_ram_ptr(&s->memory) + offset, 0,
               s->channel_bytes);
    }
}

/* What the guest's library answers from now on, where it looks when it sees the loss. */
static void vgpu_lost_result_write(VgpuChannel *channel, uint32_t result)
{
    VgpuState *s = channel->device;
    uint8_t *memory = (uint8_t *)memory_region_get_ram_ptr(&s->memory) +
                      vgpu_channel_index(channel) * s->channel_bytes;

    __atomic_store_n(&((struct vgpu_channel_header *)memory)->lost_result, result,
                     __ATOMIC_RELEASE);
}

static void vgpu_channel_state_set(VgpuChannel *channel, uint32_t state, uint32_t error)
{
    channel->state = state;
    channel->error = error;
    vgpu_interrupt_raise(channel->device, VGPU_VECTOR_STATES);
}

void vgpu_channel_open(VgpuChannel *channel)
{
    VgpuState *s = channel->device;

    if (channel->state != VGPU_CHANNEL_CLOSED) {
        return;
    }
    channel->generation++;
    if (!s->link.accepted) {
        vgpu_channel_state_set(channel, VGPU_CHANNEL_FAILED, VGPU_ERROR_NO_MEDIATOR);
        return;
    }
    if (channel->zero_at_open || s->xen_domain) {
        vgpu_channel_memory_zero(channel);
        channel->zero_at_open = false;
    }
    vgpu_event_take(&channel->doorbell);
    vgpu_event_take(&channel->interrupt);
    channel->error = VGPU_ERROR_NONE;
    channel->state = VGPU_CHANNEL_OPENING;
    channel->known = true;
    vgpu_link_send_channel(s, VGPU_CONTROL_CHANNEL_OPEN, vgpu_channel_index(channel));
}

void vgpu_channel_close(VgpuChannel *channel)
{
    if (channel->state == VGPU_CHANNEL_CLOSED || channel->state == VGPU_CHANNEL_CLOSING) {
        return;
    }
    if (!channel->known) {
        vgpu_channel_memory_zero(channel);
        vgpu_channel_state_set(channel, VGPU_CHANNEL_CLOSED, VGPU_ERROR_NONE);
        return;
    }
    channel->state = VGPU_CHANNEL_CLOSING;
    channel->error = VGPU_ERROR_NONE;
    vgpu_link_send_channel(channel->device, VGPU_CONTROL_CHANNEL_CLOSE,
                           vgpu_channel_index(channel));
}

void vgpu_channels_close(VgpuState *s)
{
    /* None are there when the guest's write has met its unplugging. */
    for (unsigned i = 0; s->channels && i < s->channel_count; i++) {
        vgpu_channel_close(&s->channels[i]);
    }
}

void vgpu_mediator_connected(VgpuState *s)
{
    vgpu_interrupt_raise(s, VGPU_VECTOR_STATES);
}

void vgpu_mediator_lost(VgpuState *s)
{
    for (unsigned i = 0; i < s->channel_count; i++) {
        VgpuChannel *channel = &s->channels[i];

        if (!channel->known) {
            continue;
        }
        channel->known = false;
        channel->zero_at_open = true;
        if (channel->state == VGPU_CHANNEL_CLOSING) {
            vgpu_channel_memory_zero(channel);
            vgpu_channel_state_set(channel, VGPU_CHANNEL_CLOSED, VGPU_ERROR_NONE);
        } else if (channel->state == VGPU_CHANNEL_OPENING ||
                   channel->state == VGPU_CHANNEL_READY) {
            vgpu_channel_state_set(channel, VGPU_CHANNEL_LOST, VGPU_ERROR_MEDIATOR_LOST);
        }
    }
    vgpu_interrupt_raise(s, VGPU_VECTOR_STATES);
}

/* A guest can make the host refuse as often as it likes: that must not fill the log. */
static void vgpu_channel_report(VgpuState *s, const char *what,
                                const struct vgpu_control_channel *message)
{
    int64_t second = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) / 1000;

    if (second != s->report_second) {
        s->report_second = second;
        s->report_count = 0;
    }
    if (s->report_count++ < VGPU_REPORTS_PER_SECOND) {
        vgpu_log(s, "channel %u %s, error %u: %s", message->channel, what, message->error,
                 message->text[0] ? message->text : "no reason given");
    }
}

/* What the host says can cross the guest's CLOSE: in CLOSING only the end counts. */
bool vgpu_channel_message(VgpuState *s, uint32_t type,
                          const struct vgpu_control_channel *message)
{
    VgpuChannel *channel;
    uint32_t error = message->error;

    if (message->channel >= s->channel_count) {
        return false;
    }
    channel = &s->channels[message->channel];
    if (!channel->known || message->generation != channel->generation) {
        return true;
    }
    switch (type) {
    case VGPU_CONTROL_CHANNEL_READY:
        if (channel->state == VGPU_CHANNEL_OPENING) {
            vgpu_channel_state_set(channel, VGPU_CHANNEL_READY, VGPU_ERROR_NONE);
        }
        return true;
    case VGPU_CONTROL_CHANNEL_FAILED:
        if (channel->state == VGPU_CHANNEL_OPENING) {
            vgpu_channel_report(s, "refused", message);
            vgpu_channel_state_set(channel, VGPU_CHANNEL_FAILED,
                                   error != VGPU_ERROR_NONE ? error : VGPU_ERROR_REFUSED);
        }
        return true;
    case VGPU_CONTROL_CHANNEL_LOST:
        if (channel->state == VGPU_CHANNEL_READY ||
            channel->state == VGPU_CHANNEL_OPENING) {
            vgpu_channel_report(s, "lost", message);
            if (error == VGPU_ERROR_KERNEL_TIMEOUT) {
                vgpu_lost_result_write(channel, VGPU_RESULT_LAUNCH_TIMEOUT);
            }
            vgpu_channel_state_set(channel, VGPU_CHANNEL_LOST,
                                   error != VGPU_ERROR_NONE ? error
                                                            : VGPU_ERROR_EXECUTOR_DIED);
        }
        return true;
    case VGPU_CONTROL_CHANNEL_CLOSED:
        if (channel->state == VGPU_CHANNEL_CLOSING) {
            channel->known = false;
            vgpu_channel_state_set(channel, VGPU_CHANNEL_CLOSED, VGPU_ERROR_NONE);
        }
        return true;
    default:
        return false;
    }
}
