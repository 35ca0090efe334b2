/* SPDX-License-Identifier: Apache-2.0 */
/* A module image as the driver wants it, made of what the guest has staged. */
#ifndef EXECUTOR_IMAGE_H
#define EXECUTOR_IMAGE_H

#include "image_check.h"
#include "stage.h"

/* A fatbin wrapper, as nvcc writes it beside a fatbin. */
struct image_wrapper {
	uint32_t magic;
	uint32_t version;
	const void *fatbin;
	const void *prelinked; /* version 2: a NULL-terminated array of fatbins */
};

struct image {
	uint8_t *staged;
	size_t staged_bytes;
	uint32_t kind;	      /* IMAGE_*; 0: an input of the linker */
	const void *pointer;  /* what the driver is given */
	size_t pointer_bytes; /* of a single piece; a text's with its NUL */
	struct image_wrapper wrapper;
	const void **prelinked;
	uint64_t families;	 /* of the devices (image_packed.h) */
	uint64_t unpacked_bytes; /* by the check */
};

/*
 * Takes what is staged, of 'kind', and checks it, for devices of these families (image_packed.h).
 * CUDA_ERROR_INVALID_IMAGE if it is not sound (INVALID_PTX for text that is none). Release with image_release() when
 * the driver has taken it in.
 */
CUresult image_take(struct stage *stage, uint32_t kind, uint64_t families, struct image *ret_image);
/* The same for an input of the linker. CUDA_ERROR_NOT_SUPPORTED for intermediate code, which cannot be checked. */
CUresult image_take_input(struct stage *stage, CUjitInputType type, uint64_t families, struct image *ret_image);
void image_release(struct image *image);

/* Whether kernels of a module or library may use printf (print.h says what that is good for). It unpacks what is
 * packed. */
bool image_may_print(const struct image *image);

#endif
