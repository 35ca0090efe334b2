/* SPDX-License-Identifier: Apache-2.0 */
/*
 * __managed__ variables of modules and libraries.  Where memory can be shared with the executor they lie in a range of
 * it, to which the executor moves them when it loads the image: program, kernels and copies have them at one address.
 * Each variable is a range of the map of memory, as with the real driver.
 */
#ifndef VGPU_MANAGED_VARIABLES_H
#define VGPU_MANAGED_VARIABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "image.h"
#include "jit_options.h"

struct managed_variables;
struct owner;

/*
 * Has those of the staged image, which the owner is to be loaded from, moved to memory of their own, from where the
 * load that follows takes them. owner->managed stays NULL where there are none, or none that can be moved.
 * *ret_releases: context_primary_release(0) is to follow when no lock is held.
 */
CUresult managed_variables_place(uint32_t context, struct owner *owner, const struct image *image,
				 const struct jit_options *options, bool *ret_releases);

/* False: there is none of that name. Accepts NULL. */
bool managed_variables_find(const struct managed_variables *variables, const char *name, uint64_t *ret_address,
			    uint64_t *ret_bytes);

/* Those of an owner that was unloaded: waits until nothing in the context (0: there is none) uses them. No lock is
 * held. */
CUresult managed_variables_end(struct owner *owner, uint32_t context);

/* Forgets them and gives the memory back. Accepts NULL. */
void managed_variables_free(struct managed_variables *variables);

#endif
