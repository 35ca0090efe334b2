/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving texels between the program's memory and an array through the windows of
 * the channel.  Up: when it returns, the program may change its memory; the
 * array has the texels in stream order.  Down: when it returns, they are there.
 */
#ifndef VGPU_ARRAY_TRANSFER_H
#define VGPU_ARRAY_TRANSFER_H

#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

/* Checked against the array's extent, and counted in whole texels. */
struct array_transfer {
	uint32_t array; /* wire id */
	uint32_t element_bytes;
	size_t x_bytes, y, z;
	uint8_t *host;
	size_t host_row_bytes;
	size_t host_slice_bytes;
	size_t width_bytes, rows, slices;
	uint32_t context;
	uint32_t stream;
};

CUresult array_transfer_up(const struct array_transfer *transfer);
CUresult array_transfer_down(const struct array_transfer *transfer);

#endif
