/* SPDX-License-Identifier: Apache-2.0 */
/* What a function is launched with by the calls from before CUDA 4. It belongs to the function. */
#ifndef VGPU_LAUNCH_LEGACY_H
#define VGPU_LAUNCH_LEGACY_H

struct launch_legacy;

void launch_legacy_free(struct launch_legacy *legacy); /* NULL: nothing */

#endif
