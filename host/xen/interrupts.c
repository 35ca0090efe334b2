/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"

#include "qemu/main-loop.h"
#include "xen_device.h"

#define VECTOR_MASKED 1u

#define WORDS_PER_VECTOR (sizeof(struct xen_vector) / sizeof(uint32_t))

static struct xen_device *device_of(VgpuState *s)
{
	return (struct xen_device *)((char *)s - offsetof(struct xen_device, state));
}

/*
 * A guest that takes interrupts as Xen's event channels writes vector 0 into the entry and leaves it masked: the
 * masking is then that of the event channel (Linux, arch/x86/pci/xen.c, xen_msi_compose_msg).
 */
static bool vector_is_masked(const struct xen_vector *vector)
{
	return (vector->control & VECTOR_MASKED) && (vector->data & 0xff) != 0;
}

static void vector_raise(struct xen_device *device, unsigned int number)
{
	const struct xen_vector *vector = &device->vectors[number];

	if (!xen_config_interrupts_enabled(device) || vector_is_masked(vector)) {
		device->pending[number / 64] |= UINT64_C(1) << number % 64;
		return;
	}
	device->pending[number / 64] &= ~(UINT64_C(1) << number % 64);
	if (xendevicemodel_inject_msi(device->model, device->domain,
				      vector->address_low | (uint64_t)vector->address_high << 32, vector->data) < 0)
		xen_report(device, "an interrupt was not taken");
}

void xen_interrupts_deliver(struct xen_device *device)
{
	if (!xen_config_interrupts_enabled(device))
		return;
	for (unsigned int i = 0; i < device->vector_count; i++)
		if ((device->pending[i / 64] >> i % 64 & 1) && !vector_is_masked(&device->vectors[i]))
			vector_raise(device, i);
}

void vgpu_interrupt_raise(VgpuState *s, unsigned vector)
{
	vector_raise(device_of(s), vector);
}

static void interrupt_relay(void *opaque)
{
	VgpuChannel *channel = opaque;

	if (vgpu_event_take(&channel->interrupt))
		vector_raise(device_of(channel->device), VGPU_VECTOR(vgpu_channel_index(channel)));
}

bool xen_interrupts_create(struct xen_device *device)
{
	VgpuState *s = &device->state;

	device->vector_count = VGPU_VECTOR(s->channel_count);
	for (unsigned int i = 0; i < device->vector_count; i++)
		device->vectors[i].control = VECTOR_MASKED;
	s->channels = g_new0(VgpuChannel, s->channel_count);
	for (unsigned int i = 0; i < s->channel_count; i++) {
		VgpuChannel *channel = &s->channels[i];

		channel->device = s;
		if (event_notifier_init(&channel->doorbell, 0) < 0 || event_notifier_init(&channel->interrupt, 0) < 0) {
			xen_report(device, "cannot make the channels' descriptors");
			return false;
		}
		qemu_set_fd_handler(channel->interrupt.fd, interrupt_relay, NULL, channel);
	}
	return true;
}

uint32_t xen_table_read(const struct xen_device *device, uint32_t offset)
{
	uint32_t number = offset / sizeof(struct xen_vector);
	uint32_t pending = (offset - XEN_TABLE_BYTES / 2) / sizeof(uint32_t);

	if (offset >= XEN_TABLE_BYTES / 2)
		return pending < 4 ? (uint32_t)(device->pending[pending / 2] >> 32 * (pending % 2)) : 0;
	if (number >= device->vector_count)
		return 0;
	return ((const uint32_t *)&device->vectors[number])[offset / sizeof(uint32_t) % WORDS_PER_VECTOR];
}

void xen_table_write(struct xen_device *device, uint32_t offset, uint32_t value)
{
	uint32_t number = offset / sizeof(struct xen_vector);

	if (offset >= XEN_TABLE_BYTES / 2 || number >= device->vector_count)
		return;
	((uint32_t *)&device->vectors[number])[offset / sizeof(uint32_t) % WORDS_PER_VECTOR] = value;
	xen_interrupts_deliver(device);
}
