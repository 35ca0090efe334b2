/* SPDX-License-Identifier: Apache-2.0 */
/* vgpu-admin show-iommu-status: what Linux says of passing NVIDIA's GPUs through to a VM. */
#ifndef ADMIN_IOMMU_H
#define ADMIN_IOMMU_H

#include <jansson.h>

/* A row for each GPU; reads below 'sysfs' ("/sys"). NULL: out of memory. */
json_t *iommu_look(const char *sysfs);

#endif
