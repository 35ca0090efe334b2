/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed variables of module images: of what the driver would take of an image that is staged, machine code is made
 * whose managed variables lie in memory of the guest (managed_elf.h).  The driver's own managed memory cannot be
 * shared with the guest's process.
 */
#ifndef EXECUTOR_MANAGED_IMAGE_H
#define EXECUTOR_MANAGED_IMAGE_H

#include <stdbool.h>

#include "execute.h"
#include "image.h"
#include "managed_elf.h"

struct managed_image {
	uint8_t *code; /* NULL: nothing was examined, or nothing is to be moved */
	struct managed_elf elf;
	bool is_placed;
};

/*
 * What the driver is given for the image: the image, or the code whose variables have been placed. The latter is
 * used once: managed_image_release() when the driver has taken it in.
 */
const void *managed_image_of(const struct executor *executor, const struct image *image);
void managed_image_release(struct managed_image *managed);

#endif
