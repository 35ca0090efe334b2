/* SPDX-License-Identifier: Apache-2.0 */
/* Copies that graphs make from, to and within memory of the program that the executor does not share. Any thread. */
#ifndef VGPU_PROGRAM_COPY_H
#define VGPU_PROGRAM_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

struct program_rows {
	uint8_t *address;
	size_t row_bytes; /* from one row to the next */
	size_t slice_bytes;
};

struct program_copy {
	CUDA_MEMCPY3D described; /* as the program has it */
	struct program_rows rows;
	struct program_rows source; /* of a copy within the program's memory */
	size_t width_bytes, height, depth;
};

/* Moves a piece of the rows, as if there were no gap between them. False: it is not within them. */
bool program_copy_fetch(const struct program_copy *copy, uint64_t offset, size_t bytes, uint8_t *to);
bool program_copy_deliver(const struct program_copy *copy, uint64_t offset, size_t bytes, const uint8_t *from);

/* From the source to the rows. */
void program_copy_run(const struct program_copy *copy);

#endif
