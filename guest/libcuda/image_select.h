/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a fatbin is worth sending: programs bring machine code for every generation of GPUs, and code for another
 * than the session's devices can run on none of them (CUDA programming guide, binary compatibility: only within a
 * major version). The host's driver chooses among the rest.
 */
#ifndef VGPU_IMAGE_SELECT_H
#define VGPU_IMAGE_SELECT_H

#include "image.h"

/*
 * Leaves out of an examined image what no device takes; 'majors' has a bit for each compute capability's major version.
 * Where nothing would be left, or it cannot be read, all stays, for the host's driver to say what is wrong with it.
 * CUDA_ERROR_OUT_OF_MEMORY, else success.
 */
CUresult image_select(struct image *image, uint64_t majors);

#endif
