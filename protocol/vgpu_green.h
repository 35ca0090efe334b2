/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources of devices, for green contexts.  A driver's CUdevResource is opaque, and
 * may refer to what is in its process: it stays with the executor, and the guest has
 * a number for it that the executor looks up.
 */
#ifndef VGPU_GREEN_H
#define VGPU_GREEN_H

#include <stdint.h>

struct vgpu_dev_resource {
	uint64_t token; /* 0: there is nothing */
	uint32_t type;	/* CUdevResourceType */
	uint32_t sm_count;
	uint32_t sm_partition_min;
	uint32_t sm_alignment;
};

/* Of one split; no GPU has as many multiprocessors. */
#define VGPU_RESOURCE_GROUPS_MAX 512
/* That one descriptor is made of. */
#define VGPU_RESOURCES_MAX 512

#endif
