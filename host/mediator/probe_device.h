/* SPDX-License-Identifier: Apache-2.0 */
/* A device as the probe of a driver, here or at a worker, says it. */
#ifndef MEDIATOR_PROBE_DEVICE_H
#define MEDIATOR_PROBE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

/* A device that the driver has: a GPU, or an instance of one that is in MIG mode, which is not listed itself. */
struct probe_device {
	char name[128];
	char uuid[64]; /* "GPU-...", "MIG-..." */
	char pci[32];
	unsigned long long memory_bytes;
	bool reaches_host; /* its kernels reach all memory of their process */
	char parent[64];   /* the UUID of the instance's GPU, or empty */
	char instance[16]; /* "GPU:INSTANCE", or empty */
};
/* The UUID that NVML's errors and sensors have: that of the GPU. */
const char *probe_device_gpu(const struct probe_device *device);

/* What a line of "cuda-executor --probe" that begins with "device=" says. */
struct probe_device probe_device_of_line(const char *line);
/* The same, and its VGPU_PCI_PLACE, or UINT32_MAX. */
uint32_t probe_device_parse(const char *line, struct probe_device *ret_device);

#endif
