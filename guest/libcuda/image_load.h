/* SPDX-License-Identifier: Apache-2.0 */
/* What loading a module and loading a library have in common. */
#ifndef VGPU_IMAGE_LOAD_H
#define VGPU_IMAGE_LOAD_H

#include "image.h"
#include "jit_options.h"
#include "object.h"

#define LOAD_LOGS_BYTES (56u << 10)

/* The host's answer to a load. */
struct load_answer {
	uint32_t information_bytes;
	uint32_t error_bytes;
	uint32_t logs_bytes;
	uint64_t microseconds;
	char logs[LOAD_LOGS_BYTES]; /* information, then error */
};

/* Asks the host to load the staged image under 'id'. */
typedef CUresult (*load_request)(uint32_t context, uint32_t id, const struct image *image,
				 const struct jit_options *options, struct load_answer *answer);

/*
 * Makes a module or library, of 'owner_context' (0: of all), by loading the image in 'context'. The
 * program gets its logs whether that succeeds or not.
 */
CUresult image_load(enum vgpu_kind kind, uint32_t owner_context, uint32_t context, struct image *image,
		    const struct jit_options *options, load_request request, struct object **ret_object);

#endif
