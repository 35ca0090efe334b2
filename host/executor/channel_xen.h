/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a channel that is pages of a guest of Xen, for channel.c alone. */
#ifndef EXECUTOR_CHANNEL_XEN_H
#define EXECUTOR_CHANNEL_XEN_H

#include "channel.h"

/*
 * Maps the guest's frames, or what it has granted. 0, or -errno: EFAULT when the guest has no memory at one of the
 * frames, EINVAL when a grant is none or does not allow writing.
 */
int channel_xen_map(const struct channel_memory *memory, uint8_t **ret_mapping);

#endif
