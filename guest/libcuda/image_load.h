/* SPDX-License-Identifier: Apache-2.0 */
/* What loading a module and loading a library have in common. */
#ifndef VGPU_IMAGE_LOAD_H
#define VGPU_IMAGE_LOAD_H

#include <stdbool.h>

#include "image.h"
#include "jit_options.h"
#include "object.h"

struct owner;

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
 * program gets its logs whether that succeeds or not. 'moves_later': its managed variables are not moved now.
 */
CUresult image_load(enum vgpu_kind kind, uint32_t owner_context, uint32_t context, struct image *image,
		    const struct jit_options *options, bool moves_later, load_request request,
		    struct object **ret_object);

/*
 * Loads a library's image again if it has managed variables that can be moved, and moves them; else all stays as it
 * is. Nothing has been made of the library, and its mutex is held. *ret_releases: context_primary_release(0) is to
 * follow, when it is not held any more.
 */
CUresult image_move_managed(struct owner *owner, uint32_t context, struct image *image, load_request request,
			    bool *ret_releases);

#endif
