/* SPDX-License-Identifier: Apache-2.0 */
/* Devices: everything about them is answered from the snapshot that cuInit took. */
#ifndef VGPU_DEVICE_QUERY_H
#define VGPU_DEVICE_QUERY_H

#include "call.h"

/* An attribute as programs see it; CUDA_ERROR_INVALID_VALUE if the host's driver does not know it. */
CUresult device_attribute(CUdevice device, CUdevice_attribute attribute, int *ret_value);

/* A bit for the major version of each device's compute capability; all, if one cannot be known. */
uint64_t device_majors(void);

/* The limits that a launch is checked against. */
struct device_limits {
	uint32_t block_threads;
	uint32_t block[3];
	uint32_t grid[3];
	uint32_t block_registers;
	uint32_t shared_bytes; /* of a block, without opting in for more */
};
/* NULL: no such device. Constant, valid as long as the process. */
const struct device_limits *device_limits_of(CUdevice device);

#endif
