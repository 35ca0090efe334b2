/* SPDX-License-Identifier: GPL-2.0-or-later */
#define __XEN_TOOLS__ 1 /* for the interface of device models */

#include "qemu/osdep.h"

#include <sys/mman.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>
#include <xenctrl.h>

#include "qemu/main-loop.h"
#include "xen_device.h"

void xen_ioreq_range_move(struct xen_device *device, uint64_t *address, uint64_t wanted, uint64_t bytes)
{
	if (*address == wanted)
		return;
	if (*address && xendevicemodel_unmap_io_range_from_ioreq_server(device->model, device->domain, device->server,
									1, *address, *address + bytes - 1) < 0)
		xen_report(device, "a BAR's range cannot be given back");
	*address = 0;
	if (!wanted)
		return;
	if (xendevicemodel_map_io_range_to_ioreq_server(device->model, device->domain, device->server, 1, wanted,
							wanted + bytes - 1) < 0) {
		xen_report(device, "a BAR's range cannot be claimed");
		return;
	}
	*address = wanted;
}

static bool is_inside(uint64_t address, uint64_t start, uint64_t bytes, unsigned int size)
{
	return start && address >= start && address - start <= bytes - size;
}

/* A doorbell is an eventfd, as it is in QEMU (memory_region_add_eventfd). */
static bool doorbell_ring(VgpuState *s, uint64_t offset)
{
	uint64_t index;

	if (s->trace || offset < VGPU_DOORBELLS || offset % VGPU_DOORBELL_STRIDE != 0)
		return false;
	index = (offset - VGPU_DOORBELLS) / VGPU_DOORBELL_STRIDE;
	if (index >= s->channel_count)
		return false;
	event_notifier_set(&s->channels[index].doorbell);
	return true;
}

static uint64_t memory_read(struct xen_device *device, uint64_t address, unsigned int size)
{
	/* Registers and table have 32 bits; Linux reads MSI-X tables so too. */
	if (size != 4 || address % 4 != 0)
		return UINT64_MAX;
	if (is_inside(address, device->registers_address, VGPU_BAR0_BYTES, size))
		return vgpu_register_read(&device->state, address - device->registers_address, size);
	if (is_inside(address, device->table_address, XEN_TABLE_BYTES, size))
		return xen_table_read(device, (uint32_t)(address - device->table_address));
	return UINT64_MAX;
}

static void memory_write(struct xen_device *device, uint64_t address, uint64_t value, unsigned int size)
{
	VgpuState *s = &device->state;

	if (size == 8) {
		memory_write(device, address, (uint32_t)value, 4);
		memory_write(device, address + 4, value >> 32, 4);
		return;
	}
	if (size != 4 || address % 4 != 0)
		return;
	if (is_inside(address, device->registers_address, VGPU_BAR0_BYTES, size)) {
		uint64_t offset = address - device->registers_address;

		if (!doorbell_ring(s, offset))
			vgpu_register_write(s, offset, (uint32_t)value, size);
	} else if (is_inside(address, device->table_address, XEN_TABLE_BYTES, size)) {
		xen_table_write(device, (uint32_t)(address - device->table_address), (uint32_t)value);
	}
}

/* Answers one request, which was copied from the shared page. */
static void request_answer(struct xen_device *device, ioreq_t *request)
{
	bool reads = request->dir == IOREQ_READ;
	/* String instructions name memory of the guest instead of a value. No driver of ours uses them here. */
	bool is_plain = !request->data_is_ptr && request->count == 1;
	unsigned int size = request->size;

	switch (request->type) {
	case IOREQ_TYPE_PCI_CONFIG:
		if (!is_plain || (size != 1 && size != 2 && size != 4))
			request->data = UINT64_MAX;
		else if (reads)
			request->data = xen_config_read(device, request->addr & 0xfff, size);
		else
			xen_config_write(device, request->addr & 0xfff, (uint32_t)request->data, size);
		break;
	case IOREQ_TYPE_COPY:
		if (!is_plain)
			request->data = UINT64_MAX;
		else if (reads)
			request->data = memory_read(device, request->addr, size);
		else
			memory_write(device, request->addr, request->data, size);
		break;
	default:
		/* INVALIDATE: nothing is cached of the guest's memory map. */
		if (reads)
			request->data = UINT64_MAX;
		break;
	}
}

static void request_take(struct xen_device *device, unsigned int vcpu)
{
	ioreq_t *shared = &device->requests->vcpu_ioreq[vcpu];
	ioreq_t request;

	if (shared->state != STATE_IOREQ_READY)
		return;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	request = *shared;
	shared->state = STATE_IOREQ_INPROCESS;
	request_answer(device, &request);
	shared->data = request.data;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	shared->state = STATE_IORESP_READY;
	xenevtchn_notify(device->events, device->ports[vcpu]);
}

static void events_readable(void *opaque)
{
	struct xen_device *device = opaque;
	xenevtchn_port_or_error_t port = xenevtchn_pending(device->events);

	if (port < 0)
		return;
	xenevtchn_unmask(device->events, port);
	for (unsigned int i = 0; i < device->vcpu_count; i++) {
		if (device->ports[i] == (evtchn_port_t)port) {
			request_take(device, i);
			return;
		}
	}
}

static bool ports_bind(struct xen_device *device)
{
	for (unsigned int i = 0; i < device->vcpu_count; i++) {
		xenevtchn_port_or_error_t port = xenevtchn_bind_interdomain(device->events, device->domain,
									    device->requests->vcpu_ioreq[i].vp_eport);

		if (port < 0)
			return false;
		device->ports[i] = port;
	}
	return true;
}

bool xen_ioreq_create(struct xen_device *device)
{
	void *page = NULL;

	if (xendevicemodel_create_ioreq_server(device->model, device->domain, HVM_IOREQSRV_BUFIOREQ_OFF,
					       &device->server) < 0) {
		xen_report(device, "Xen gives no ioreq server");
		return false;
	}
	device->requests_resource = xenforeignmemory_map_resource(
		device->memory, device->domain, XENMEM_resource_ioreq_server, device->server,
		XENMEM_resource_ioreq_server_frame_ioreq(0), 1, &page, PROT_READ | PROT_WRITE, 0);
	if (!device->requests_resource) {
		xen_report(device, "the page of requests cannot be mapped");
		return false;
	}
	device->requests = page;
	if (xendevicemodel_map_pcidev_to_ioreq_server(device->model, device->domain, device->server, 0, 0,
						      (uint8_t)device->slot, 0) < 0 ||
	    xendevicemodel_set_ioreq_server_state(device->model, device->domain, device->server, 1) < 0) {
		xen_report(device, "the PCI slot cannot be claimed");
		return false;
	}
	if (!ports_bind(device)) {
		xen_report(device, "cannot listen for requests");
		return false;
	}
	qemu_set_fd_handler(xenevtchn_fd(device->events), events_readable, NULL, device);
	return true;
}
