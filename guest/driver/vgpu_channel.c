// SPDX-License-Identifier: GPL-2.0
/*
 * Channels: the registers behind them, and their way from free to ready and
 * back.
 */
#include <linux/io.h>
#include <linux/sched/signal.h>

#include "vgpu.h"

/* The mediator has its own, shorter limit for an executor's start; this one is for a host that hangs. */
#define VGPU_OPEN_TIMEOUT (60 * HZ)
/* How long open() waits for one of the channels that the host is just cleaning up. */
#define VGPU_CLAIM_TIMEOUT (5 * HZ)

static u32 channel_register(const struct vgpu_channel *channel, u32 offset)
{
	return VGPU_CHANNEL_REGISTERS + channel->index * VGPU_CHANNEL_STRIDE + offset;
}

/* The caller holds 'lock' and has seen that the device is not gone. */
static u32 channel_read(struct vgpu_channel *channel, u32 offset)
{
	return ioread32(channel->device->registers + channel_register(channel, offset));
}

static void channel_write(struct vgpu_channel *channel, u32 offset, u32 value)
{
	iowrite32(value, channel->device->registers + channel_register(channel, offset));
}

bool vgpu_channel_gone(struct vgpu_channel *channel)
{
	return READ_ONCE(channel->device->gone);
}

/*
 * Takes a free channel that is closed. -EAGAIN: the only free ones are still being closed,
 * -EBUSY: all belong to somebody.
 */
static int channel_claim(struct vgpu_device *device, struct vgpu_channel **ret_channel)
{
	int rc = -EBUSY;
	u32 i;

	spin_lock(&device->lock);
	for (i = 0; i < device->channel_count; i++) {
		struct vgpu_channel *channel = &device->channels[i];

		if (device->gone) {
			rc = -ENODEV;
			break;
		}
		if (channel->used)
			continue;
		if (channel_read(channel, VGPU_CHANNEL_STATE) != VGPU_CHANNEL_CLOSED) {
			rc = -EAGAIN;
			continue;
		}
		channel->used = true;
		channel->ready = false;
		channel->lost = false;
		atomic_set(&channel->interrupts, 0);
		*ret_channel = channel;
		rc = 0;
		break;
	}
	spin_unlock(&device->lock);
	return rc;
}

static int channel_claim_wait(struct vgpu_device *device, struct vgpu_channel **ret_channel)
{
	int rc;
	long left;

	left = wait_event_killable_timeout(device->states, (rc = channel_claim(device, ret_channel)) != -EAGAIN,
					   VGPU_CLAIM_TIMEOUT);
	if (rc == -EAGAIN)
		return left < 0 ? -EINTR : -EBUSY;
	return rc;
}

static int channel_start(struct vgpu_channel *channel)
{
	struct vgpu_device *device = channel->device;
	int rc = -ENODEV;

	spin_lock(&device->lock);
	if (!device->gone && ioread32(device->registers + VGPU_REGISTER_STATUS) & VGPU_STATUS_MEDIATOR) {
		channel_write(channel, VGPU_CHANNEL_COMMAND, VGPU_CHANNEL_COMMAND_OPEN);
		rc = 0;
	}
	spin_unlock(&device->lock);
	return rc;
}

static bool channel_started(struct vgpu_channel *channel, u32 *ret_state, u32 *ret_error)
{
	struct vgpu_device *device = channel->device;

	spin_lock(&device->lock);
	if (device->gone) {
		*ret_state = VGPU_CHANNEL_LOST;
		*ret_error = VGPU_ERROR_NO_MEDIATOR;
	} else {
		*ret_state = channel_read(channel, VGPU_CHANNEL_STATE);
		*ret_error = channel_read(channel, VGPU_CHANNEL_ERROR);
	}
	spin_unlock(&device->lock);
	return *ret_state != VGPU_CHANNEL_OPENING;
}

static int channel_start_wait(struct vgpu_channel *channel)
{
	struct vgpu_device *device = channel->device;
	u32 state, error;
	long left;

	left = wait_event_killable_timeout(device->states, channel_started(channel, &state, &error), VGPU_OPEN_TIMEOUT);
	if (state == VGPU_CHANNEL_READY)
		return 0;
	if (state == VGPU_CHANNEL_OPENING)
		return left < 0 ? -EINTR : -ETIMEDOUT;
	switch (error) {
	case VGPU_ERROR_NO_MEDIATOR:
	case VGPU_ERROR_MEDIATOR_LOST:
		return -ENODEV;
	case VGPU_ERROR_START_TIMEOUT:
		return -ETIMEDOUT;
	case VGPU_ERROR_REFUSED:
		return -EPERM;
	case VGPU_ERROR_NO_MEMORY:
		return -ENOMEM;
	default:
		dev_warn_ratelimited(&device->dev, "the host did not open a channel: state %u, error %u%s\n", state,
				     error, error == VGPU_ERROR_NO_DRIVER ? " (its CUDA driver does not start)" : "");
		return -EIO;
	}
}

int vgpu_channel_open(struct vgpu_device *device, struct vgpu_channel **ret_channel)
{
	struct vgpu_channel *channel;
	int rc;

	rc = channel_claim_wait(device, &channel);
	if (rc)
		return rc;
	rc = channel_start(channel);
	if (!rc)
		rc = channel_start_wait(channel);
	if (rc) {
		vgpu_channel_close(channel);
		return rc;
	}
	spin_lock(&device->lock);
	channel->ready = true;
	spin_unlock(&device->lock);
	*ret_channel = channel;
	return 0;
}

void vgpu_channel_close(struct vgpu_channel *channel)
{
	struct vgpu_device *device = channel->device;

	spin_lock(&device->lock);
	if (!device->gone)
		channel_write(channel, VGPU_CHANNEL_COMMAND, VGPU_CHANNEL_COMMAND_CLOSE);
	channel->used = false;
	spin_unlock(&device->lock);
	wake_up_all(&device->states);
}

void vgpu_channel_info(struct vgpu_channel *channel, struct vgpu_ioctl_info *ret_info)
{
	struct vgpu_device *device = channel->device;
	struct vgpu_ioctl_info info = {
		.version = device->version,
		.features = device->features,
		.channel = channel->index,
		.channel_bytes = device->channel_bytes,
		.vm_id = device->vm_id,
		.state = VGPU_CHANNEL_LOST,
		.error = VGPU_ERROR_NO_MEDIATOR,
	};

	spin_lock(&device->lock);
	if (!device->gone) {
		info.generation = channel_read(channel, VGPU_CHANNEL_GENERATION);
		info.state = channel_read(channel, VGPU_CHANNEL_STATE);
		info.error = channel_read(channel, VGPU_CHANNEL_ERROR);
		if (channel->lost && info.state != VGPU_CHANNEL_LOST) {
			info.state = VGPU_CHANNEL_LOST;
			info.error = VGPU_ERROR_EXECUTOR_DIED;
		}
	}
	spin_unlock(&device->lock);
	*ret_info = info;
}

/* A device that was reset while the guest slept has closed it without its process. */
static bool channel_is_lost(struct vgpu_channel *channel)
{
	u32 state = channel_read(channel, VGPU_CHANNEL_STATE);

	return state == VGPU_CHANNEL_LOST || (channel->ready && state != VGPU_CHANNEL_READY);
}

void vgpu_states_changed(struct vgpu_device *device)
{
	u32 i;

	spin_lock(&device->lock);
	for (i = 0; i < device->channel_count && !device->gone; i++) {
		struct vgpu_channel *channel = &device->channels[i];

		if (channel->used && !channel->lost && channel_is_lost(channel)) {
			WRITE_ONCE(channel->lost, true);
			wake_up_all(&channel->wait);
		}
	}
	spin_unlock(&device->lock);
	wake_up_all(&device->states);
}

void vgpu_device_end(struct vgpu_device *device)
{
	u32 i;

	spin_lock(&device->lock);
	if (!device->gone)
		iowrite32(1, device->registers + VGPU_REGISTER_RESET);
	WRITE_ONCE(device->gone, true);
	spin_unlock(&device->lock);
	for (i = 0; i < device->channel_count; i++)
		wake_up_all(&device->channels[i].wait);
	wake_up_all(&device->states);
}
