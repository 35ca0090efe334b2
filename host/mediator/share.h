/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guest processes of one tenant share by CUDA IPC.  An executor publishes a
 * handle that its driver made and gets a token for its guest; the executor of
 * another process of the same tenant gets the handle for the token.  So no handle
 * that a guest made up, and none of another tenant, ever reaches a driver.
 */
#ifndef MEDIATOR_SHARE_H
#define MEDIATOR_SHARE_H

#include <stdint.h>

struct channel;
struct vgpu_control_share;

/* Takes a SHARE_PUBLISH or SHARE_QUERY of the channel's executor and answers it. */
void share_answer(struct channel *channel, uint32_t type, const struct vgpu_control_share *question);

/* The executor is gone, and with it what it published. */
void shares_forget(struct channel *channel);

#endif
