/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI configuration space: PCI Local Bus Specification 3.0, chapter 6; MSI-X in 6.8.2. */
#include "qemu/osdep.h"

#include "xen_device.h"

#define OFFSET_VENDOR	  0x00
#define OFFSET_COMMAND	  0x04
#define OFFSET_STATUS	  0x06
#define OFFSET_CLASS	  0x08
#define OFFSET_BAR0	  0x10
#define OFFSET_BAR1	  0x14 /* 64 bits: takes the place of BAR2 too */
#define OFFSET_BAR4	  0x20
#define OFFSET_SUBSYSTEM  0x2c
#define OFFSET_CAPABILITY 0x34
#define OFFSET_LINE	  0x3c
#define OFFSET_MSIX	  0x40

#define COMMAND_MEMORY	 0x2u
#define COMMAND_WRITABLE 0x0406u /* memory, bus master, no INTx */

#define STATUS_CAPABILITIES 0x10

#define BAR_64_BITS_PREFETCHABLE 0xcu
#define BAR_FLAGS		 0xfu

#define MSIX_CAPABILITY	   0x11
#define MSIX_CONTROL	   (OFFSET_MSIX + 2)
#define MSIX_ENABLE	   0x8000u
#define MSIX_MASK_ALL	   0x4000u
#define MSIX_TABLE_BAR	   4u
#define MSIX_PENDING_BYTES (XEN_TABLE_BYTES / 2)

static uint64_t field_read(const struct xen_device *device, uint32_t offset, unsigned int bytes)
{
	uint64_t value = 0;

	memcpy(&value, device->config + offset, bytes);
	return value;
}

static void field_write(struct xen_device *device, uint32_t offset, uint64_t value, unsigned int bytes)
{
	memcpy(device->config + offset, &value, bytes);
}

void xen_config_reset(struct xen_device *device)
{
	memset(device->config, 0, sizeof(device->config));
	field_write(device, OFFSET_VENDOR, VGPU_PCI_VENDOR_ID | VGPU_PCI_DEVICE_ID << 16, 4);
	field_write(device, OFFSET_STATUS, STATUS_CAPABILITIES, 2);
	field_write(device, OFFSET_CLASS, VGPU_PCI_REVISION | VGPU_PCI_CLASS << 16, 4);
	field_write(device, OFFSET_BAR1, BAR_64_BITS_PREFETCHABLE, 4);
	/* As QEMU's devices of this vendor have it. */
	field_write(device, OFFSET_SUBSYSTEM, VGPU_PCI_VENDOR_ID | 0x1100u << 16, 4);
	field_write(device, OFFSET_CAPABILITY, OFFSET_MSIX, 1);
	field_write(device, OFFSET_MSIX, MSIX_CAPABILITY | (device->vector_count - 1) << 16, 4);
	field_write(device, OFFSET_MSIX + 4, MSIX_TABLE_BAR, 4);
	field_write(device, OFFSET_MSIX + 8, MSIX_PENDING_BYTES | MSIX_TABLE_BAR, 4);
}

/* Which bits of the byte at 'offset' the guest may write. */
static uint8_t writable_mask(const struct xen_device *device, uint32_t offset)
{
	static const struct {
		uint32_t offset;
		uint32_t bytes;
		uint64_t mask;
	} fixed[] = {
		{OFFSET_COMMAND, 2, COMMAND_WRITABLE},
		{OFFSET_BAR0, 4, (uint32_t) ~(VGPU_BAR0_BYTES - 1)},
		{OFFSET_BAR4, 4, (uint32_t) ~(XEN_TABLE_BYTES - 1)},
		{OFFSET_LINE, 1, 0xff},
		{MSIX_CONTROL, 2, MSIX_ENABLE | MSIX_MASK_ALL},
	};

	if (offset >= OFFSET_BAR1 && offset < OFFSET_BAR1 + 8)
		return (uint8_t)(~(device->memory_bytes - 1) >> (8 * (offset - OFFSET_BAR1)));
	for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
		if (offset >= fixed[i].offset && offset < fixed[i].offset + fixed[i].bytes)
			return (uint8_t)(fixed[i].mask >> (8 * (offset - fixed[i].offset)));
	return 0;
}

/* Where a BAR is; 0: nowhere, also while the guest asks for its size by writing ones. */
static uint64_t bar_address(const struct xen_device *device, uint32_t offset, unsigned int bytes, uint64_t size)
{
	uint64_t address = field_read(device, offset, bytes) & ~(uint64_t)BAR_FLAGS;
	uint64_t end = bytes == 4 ? UINT64_C(1) << 32 : UINT64_C(1) << 44;

	if (!(field_read(device, OFFSET_COMMAND, 2) & COMMAND_MEMORY) || address + size >= end)
		return 0;
	return address;
}

static void bars_place(struct xen_device *device)
{
	xen_ioreq_range_move(device, &device->registers_address, bar_address(device, OFFSET_BAR0, 4, VGPU_BAR0_BYTES),
			     VGPU_BAR0_BYTES);
	xen_ioreq_range_move(device, &device->table_address, bar_address(device, OFFSET_BAR4, 4, XEN_TABLE_BYTES),
			     XEN_TABLE_BYTES);
	xen_memory_place(device, bar_address(device, OFFSET_BAR1, 8, device->memory_bytes));
}

uint32_t xen_config_read(const struct xen_device *device, uint32_t offset, unsigned int bytes)
{
	if (offset > XEN_CONFIG_BYTES - bytes)
		return UINT32_MAX;
	return (uint32_t)field_read(device, offset, bytes);
}

void xen_config_write(struct xen_device *device, uint32_t offset, uint32_t value, unsigned int bytes)
{
	if (offset > XEN_CONFIG_BYTES - bytes)
		return;
	for (unsigned int i = 0; i < bytes; i++, value >>= 8) {
		uint8_t mask = writable_mask(device, offset + i);

		device->config[offset + i] = (device->config[offset + i] & ~mask) | (value & mask);
	}
	bars_place(device);
	xen_interrupts_deliver(device);
}

bool xen_config_interrupts_enabled(const struct xen_device *device)
{
	return (field_read(device, MSIX_CONTROL, 2) & (MSIX_ENABLE | MSIX_MASK_ALL)) == MSIX_ENABLE;
}
