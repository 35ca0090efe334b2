/* SPDX-License-Identifier: Apache-2.0 */
/* What launches and questions about launches share. */
#ifndef VGPU_LAUNCH_H
#define VGPU_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "vgpu_wire.h"

/*
 * Writes 'count' attributes (at most VGPU_LAUNCH_ATTRIBUTES_MAX, else CUDA_ERROR_INVALID_VALUE) as they
 * cross the wire: events become wire ids.
 */
CUresult launch_attributes_translate(const CUlaunchAttribute *attributes, uint32_t count,
				     struct vgpu_launch_attribute *wire);

/* A kernel node's launch: what crosses the wire, and what the program may ask for. */
struct launch_record {
	size_t parameter_bytes;
	void *extra[5];	   /* as for cuLaunchKernel, if the program gave its parameters so */
	void **parameters; /* NULL if it did */
	size_t wire_bytes;
	struct vgpu_launch wire; /* the parameters behind it, then what 'parameters' points to */
};

/* Checked as a launch in that context is, with the errors of one. The record is the caller's, to be freed. */
CUresult launch_record_make(const CUDA_KERNEL_NODE_PARAMS *node, uint32_t context, CUdevice device,
			    struct launch_record **ret_record);

/*
 * The same for a launch that the host has told of; the node's description gets its fields, of which the
 * parameters point into the record. CUDA_ERROR_UNKNOWN: it is not one.
 */
CUresult launch_record_read(const struct vgpu_launch *wire, size_t bytes, uint32_t context, CUdevice device,
			    CUDA_KERNEL_NODE_PARAMS *ret_node, struct launch_record **ret_record);

#endif
