/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <xenctrl.h>

#include "xen_device.h"

#define PAGE_BYTES 4096u

/*
 * While the guest has placed BAR1 nowhere its pages lie here: frame numbers beyond any guest's RAM (64 GiB and
 * up), below the 36 bits of address that every processor has in tables of guest memory.
 */
#define PARKED_FRAME 0x1000000u

/* Of xen/include/public/arch-x86/hvm/save.h: cached memory, as RAM is. */
#define MEMORY_TYPE_WRITE_BACK 6

/* Linux include/uapi/xen/privcmd.h. */
#define IOCTL_PRIVCMD_RESTRICT _IOC(_IOC_NONE, 'P', 6, sizeof(domid_t))

/* A way to this domain's memory, and to no other's, for the executors. */
static int privcmd_open(domid_t domain)
{
	int fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, IOCTL_PRIVCMD_RESTRICT, &domain) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Gives the domain the pages, beyond what it was configured with. */
static bool pages_populate(const struct xen_device *device, const xen_pfn_t *frames, unsigned int count)
{
	xc_interface *control = xc_interface_open(NULL, NULL, 0);
	xen_pfn_t *list = g_memdup2(frames, count * sizeof(*frames));
	xc_dominfo_t info;
	bool ok = false;

	if (!control) {
		xen_report(device, "cannot open Xen's control interface");
		goto free_list;
	}
	if (xc_domain_getinfo(control, device->domain, 1, &info) != 1 || info.domid != device->domain) {
		xen_report(device, "there is no such domain");
		goto close_control;
	}
	if (xc_domain_setmaxmem(control, device->domain, info.max_memkb + count * (PAGE_BYTES / 1024)) < 0 ||
	    xc_domain_populate_physmap_exact(control, device->domain, count, 0, 0, list) < 0) {
		xen_report(device, "cannot give the domain BAR1's memory");
		goto close_control;
	}
	ok = true;
close_control:
	xc_interface_close(control);
free_list:
	g_free(list);
	return ok;
}

bool xen_memory_create(struct xen_device *device)
{
	VgpuState *s = &device->state;
	unsigned int count = device->memory_bytes / PAGE_BYTES;
	xen_pfn_t *frames = g_new(xen_pfn_t, count);
	int *errors = g_new0(int, count);
	bool ok = false;

	for (unsigned int i = 0; i < count; i++)
		frames[i] = PARKED_FRAME + i;
	if (!pages_populate(device, frames, count))
		goto free_lists;
	s->memory.memory =
		xenforeignmemory_map(device->memory, device->domain, PROT_READ | PROT_WRITE, count, frames, errors);
	if (!s->memory.memory) {
		xen_report(device, "cannot map BAR1's memory");
		goto free_lists;
	}
	/* A page that could not be mapped is told only here. */
	for (unsigned int i = 0; i < count; i++) {
		if (errors[i]) {
			xen_report(device, "a page of BAR1 cannot be mapped");
			goto free_lists;
		}
	}
	s->memory.fd = privcmd_open(device->domain);
	if (s->memory.fd < 0) {
		xen_report(device, "cannot open privcmd for this domain alone");
		goto free_lists;
	}
	s->xen_frame = PARKED_FRAME;
	memset(s->memory.memory, 0, device->memory_bytes);
	ok = true;
free_lists:
	g_free(errors);
	g_free(frames);
	return ok;
}

void xen_memory_place(struct xen_device *device, uint64_t address)
{
	VgpuState *s = &device->state;
	uint64_t frame = address ? address / PAGE_BYTES : PARKED_FRAME;
	unsigned int count = device->memory_bytes / PAGE_BYTES;

	if (frame == s->xen_frame || frame > UINT32_MAX - count)
		return;
	if (xendevicemodel_relocate_memory(device->model, device->domain, count, s->xen_frame, frame) < 0) {
		xen_report(device, "BAR1 cannot be moved");
		return;
	}
	s->xen_frame = frame;
	/* Otherwise the guest's accesses would not be cached: a hundred times slower. */
	if (address && xendevicemodel_pin_memory_cacheattr(device->model, device->domain, frame, frame + count - 1,
							   MEMORY_TYPE_WRITE_BACK) < 0)
		xen_report(device, "BAR1 cannot be made cacheable");
}
