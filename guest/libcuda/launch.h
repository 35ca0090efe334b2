/* SPDX-License-Identifier: Apache-2.0 */
/* What launches and questions about launches share. */
#ifndef VGPU_LAUNCH_H
#define VGPU_LAUNCH_H

#include <stdint.h>

#include "cuda_abi.h"
#include "vgpu_wire.h"

/*
 * Writes 'count' attributes (at most VGPU_LAUNCH_ATTRIBUTES_MAX, else CUDA_ERROR_INVALID_VALUE) as they
 * cross the wire: events become wire ids.
 */
CUresult launch_attributes_translate(const CUlaunchAttribute *attributes, uint32_t count,
				     struct vgpu_launch_attribute *wire);

#endif
