/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what a program hands to the driver as "the image" to PTX texts.
 *
 * Images are hostile, and come without a length: no byte is read that the
 * headers before it do not promise.  The caller guarantees those bytes.
 */
#ifndef SOFTGPU_DRIVER_IMAGE_H
#define SOFTGPU_DRIVER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "cuda_abi.h"
#include "softgpu/engine/engine.h"

/* PTX texts that make one module; owns its bytes. */
struct image {
	struct engine_ptx *texts;
	size_t count;
	struct engine_placement *placements; /* of variables that have their memory already */
	size_t placement_count;
};

void image_free(struct image *image); /* accepts an empty one */

/* Adds a copy of a text; trailing zero bytes are cut off. */
CUresult image_add(struct image *image, const char *text, size_t bytes);
CUresult image_place(struct image *image, const char *name, uint64_t address);

/*
 * PTX text, a fatbin, the wrapper that nvcc puts around fatbins, or what our linker made (cubin.h).
 * INVALID_IMAGE when it is none of these or damaged, NO_BINARY_FOR_GPU when it
 * holds only machine code or PTX of newer GPUs.
 */
CUresult image_read(const void *data, struct image *ret_image);

/* A fatbin of exactly 'bytes' bytes, which may lie at any alignment: adds the PTX that suits the device. */
CUresult fatbin_read(const void *data, size_t bytes, struct image *image);

/* Bytes of a fatbin by its header, of which 16 bytes must be readable; false when it is none. */
bool fatbin_bytes(const void *data, size_t *ret_bytes);

/*
 * One fatbin that holds all texts, for cuLinkComplete.  Each entry is marked as
 * a part, so that fatbin_read() takes them all instead of choosing one.
 */
CUresult fatbin_write(const struct image *image, void **ret_data, size_t *ret_bytes);

#endif
