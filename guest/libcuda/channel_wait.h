/* SPDX-License-Identifier: Apache-2.0 */
/* The waiting half of a channel, for channel.c alone. */
#ifndef VGPU_CHANNEL_WAIT_H
#define VGPU_CHANNEL_WAIT_H

#include "channel.h"

void channel_wait_prepare(struct channel *channel);

/* Registers the waiter of a request that is about to be committed. */
void channel_waiter_add(struct channel *channel, struct channel_waiter *waiter, uint32_t sequence);

/* Marks the channel lost and wakes everybody. */
void channel_lose(struct channel *channel);

#endif
