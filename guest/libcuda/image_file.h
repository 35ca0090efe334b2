/* SPDX-License-Identifier: Apache-2.0 */
/* An image in a file of the guest. */
#ifndef VGPU_IMAGE_FILE_H
#define VGPU_IMAGE_FILE_H

#include "image.h"

struct image_file {
	struct image image;
	void *bytes;
};

/* CUDA_ERROR_FILE_NOT_FOUND if it cannot be read; INVALID_IMAGE if it is none. */
CUresult image_file_open(const char *path, struct image_file *ret_file);
/* The bytes of a file, the caller's to free. */
CUresult image_file_read(const char *path, void **ret_bytes, size_t *ret_count);

void image_file_close(struct image_file *file);

#endif
