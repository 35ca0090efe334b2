/* SPDX-License-Identifier: Apache-2.0 */
#include "probe_device.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "vgpu_control.h"

struct probe_device probe_device_of_line(const char *line)
{
	struct probe_device device = {.name = ""};
	unsigned reaches_host = 0;

	/* As host/executor/probe.c writes it. */
	if (sscanf(line,
		   "device=%*u name=\"%127[^\"]\" uuid=%63s memory=%llu pci=%31s reaches_host=%u parent=%63s "
		   "instance=%15s",
		   device.name, device.uuid, &device.memory_bytes, device.pci, &reaches_host, device.parent,
		   device.instance) < 3)
		log_text_copy(device.name, sizeof(device.name), line, strlen(line));
	device.reaches_host = reaches_host;
	return device;
}

const char *probe_device_gpu(const struct probe_device *device)
{
	return device->parent[0] ? device->parent : device->uuid;
}

uint32_t probe_device_parse(const char *line, struct probe_device *ret_device)
{
	unsigned domain, bus, slot;

	*ret_device = probe_device_of_line(line);
	if (sscanf(ret_device->pci, "%x:%x:%x", &domain, &bus, &slot) != 3)
		return UINT32_MAX;
	return VGPU_PCI_PLACE(domain, bus, slot);
}
