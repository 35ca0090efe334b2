/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of a box that is copied, as a descriptor names them and as the executor is told. */
#ifndef VGPU_COPY_SIDE_H
#define VGPU_COPY_SIDE_H

#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

enum side_kind {
	SIDE_DEVICE,
	SIDE_ARRAY,
	SIDE_SHARED, /* the executor has it at the same address */
	SIDE_HOST,
};

struct side {
	enum side_kind kind;
	uint64_t address; /* of the first byte that is copied */
	size_t row_bytes; /* from one row to the next */
	size_t slice_rows;
	size_t bytes; /* from the first byte that is copied to the last one */
	uint32_t array_id;
	uint32_t element_bytes;
	size_t x_bytes, y, z; /* in an array */
};

/* Checks that they lie within what they name. A copy of no bytes is not asked about. */
CUresult copy_sides_read(const CUDA_MEMCPY3D *copy, struct side *ret_to, struct side *ret_from);

/* Of sides that the executor can reach, or that are called the program's. */
CUDA_MEMCPY3D copy_sides_wire(const struct side *to, const struct side *from, const CUDA_MEMCPY3D *copy);

#endif
