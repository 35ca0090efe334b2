/* SPDX-License-Identifier: Apache-2.0 */
/* Links that the guest has begun: the handle's cache is the link. */
#ifndef EXECUTOR_LINK_H
#define EXECUTOR_LINK_H

#include <stdint.h>

struct executor;

/* Ends the links of a context that is about to be destroyed. */
void link_forget_context(struct executor *executor, uint32_t context);

#endif
