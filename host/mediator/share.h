/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guest processes of one tenant share by CUDA IPC, and physical memory and
 * pools that they export.  An executor publishes a handle that its driver made and gets a
 * token for its guest; the executor of another process of the same tenant gets the
 * handle for the token.  So no handle that a guest made up, and none of another
 * tenant, ever reaches a driver.
 *
 * A handle of physical memory or of a pool is a descriptor, which keeps the memory: it is held
 * until it is withdrawn, and a tenant has SHARE_DESCRIPTORS_MAX of them.
 */
#ifndef MEDIATOR_SHARE_H
#define MEDIATOR_SHARE_H

#include <stdint.h>

struct channel;
struct control_message;

/* Takes a SHARE_PUBLISH or SHARE_QUERY of the channel's executor and answers it, or a SHARE_WITHDRAW. */
void share_answer(struct channel *channel, const struct control_message *question);

/* The executor is gone, and with it what it published. */
void shares_forget(struct channel *channel);

#endif
