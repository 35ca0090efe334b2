/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program hands over as a module: a pointer without a length.  Finds out
 * what it is and how long, reading no more than the headers vouch for.
 */
#ifndef VGPU_IMAGE_H
#define VGPU_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

/* On the wire: image_kind of the load calls (api/driver/module.api). */
enum image_kind {
	IMAGE_PTX = 1,
	IMAGE_FATBIN = 2,
	IMAGE_ELF = 3,
	IMAGE_LINKED = 4, /* of a wrapper of version 2: the fatbin, then those that were linked into it */
};

#define IMAGE_PIECES_MAX 1024

struct image_span {
	const uint8_t *data;
	size_t bytes;
};

struct image_piece {
	const uint8_t *data;
	size_t bytes; /* of the data, or of all spans */
	/* What is sent of it (image_select.h), in the selection's memory; NULL: the data. */
	const struct image_span *spans;
	size_t span_count;
	void *selection;
};

struct image {
	enum image_kind kind;
	size_t piece_count;
	struct image_piece *pieces; /* the only one is 'single', more are allocated */
	struct image_piece single;
};

/*
 * Looks at what 'data' points to. CUDA_ERROR_INVALID_IMAGE: nothing that is known. The image refers to
 * the caller's memory; image_release() afterwards.
 */
CUresult image_examine(const void *data, struct image *ret_image);

/* The same for memory whose size is known, as that of a file: an image that says it is longer is refused. */
CUresult image_examine_sized(const void *data, size_t bytes, struct image *ret_image);

void image_release(struct image *image);

#endif
