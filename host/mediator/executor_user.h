/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As whom executors run: one common user, or, of a range that nobody else uses, one for each tenant, so that the kernel
 * too keeps tenants' executors from each other's processes, files and shares of the machine. Loop's thread only.
 */
#ifndef MEDIATOR_EXECUTOR_USER_H
#define MEDIATOR_EXECUTOR_USER_H

#include <stdbool.h>
#include <sys/types.h>

#include "process.h"

struct configuration;
struct mediator;
struct tenant;

/* Whether the range is one: 0, or -1 with a line in the log. */
int executor_users_check(const struct configuration *configuration);

/* The user of the tenant's executors, its own from the first one on. 0, or -1 with errno: EAGAIN, none is free. */
int executor_user_take(struct tenant *tenant, struct process_identity *ret_identity);

/* An executor of it is there, started by an earlier mediator as that user; 0: as the common one. */
void executor_user_adopt(struct tenant *tenant, uid_t user);

/*
 * Is it one of the users, the last quarter of the range, who never have a compute cache? They are for tenants whose
 * user cannot be chosen by looking at the others' caches, for those cannot be read or not removed.
 */
bool executor_user_is_without_cache(const struct configuration *configuration, uid_t user);

/* Does an executor, or may one later, run as that user? */
bool executor_user_is(const struct mediator *mediator, uid_t user);

#endif
