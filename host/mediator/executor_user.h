/* SPDX-License-Identifier: Apache-2.0 */
/* As whom executors run: one common user, or one of a range for each tenant (user_range.h). Loop's thread only. */
#ifndef MEDIATOR_EXECUTOR_USER_H
#define MEDIATOR_EXECUTOR_USER_H

#include <stdbool.h>
#include <sys/types.h>

#include "process.h"

struct mediator;
struct tenant;

/* The user of the tenant's executors, its own from the first one on. 0, or -1 with errno: EAGAIN, none is free. */
int executor_user_take(struct tenant *tenant, struct process_identity *ret_identity);

/* An executor of it is there, started by an earlier mediator as that user; 0: as the common one. */
void executor_user_adopt(struct tenant *tenant, uid_t user);

/* Does an executor, or may one later, run as that user? */
bool executor_user_is(const struct mediator *mediator, uid_t user);

#endif
