/* SPDX-License-Identifier: Apache-2.0 */
/* Device handles: constant for the life of the process, also over nvmlShutdown and in the child of a fork. */
#ifndef NVML_DEVICE_H
#define NVML_DEVICE_H

#include <stdbool.h>

struct nvml_device;

/* False: no handle of a device that is there; the memory behind it is not touched. */
bool device_index(const struct nvml_device *device, unsigned int *ret_index);

/* What nvmlDeviceGetHandleByIndex gives. */
int device_find(unsigned int index, struct nvml_device **ret_device);

#endif
