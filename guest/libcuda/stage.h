/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging: how an image reaches the executor before the call that loads it.  The
 * executor has one staging area, so only one thread stages at a time.
 */
#ifndef VGPU_GUEST_STAGE_H
#define VGPU_GUEST_STAGE_H

#include "image.h"

/*
 * Sends the image and keeps the staging area for the caller until stage_end(), which follows in any
 * case: the call that loads it goes in between.
 */
CUresult stage_begin(const struct image *image);
void stage_end(void);

#endif
