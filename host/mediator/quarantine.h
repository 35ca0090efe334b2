/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants that may start no programs: because of their faults for some time, or by an operator's hand. It is kept in
 * the database, so it outlives the tenant's connection and the mediator; programs that run go on.
 */
#ifndef MEDIATOR_QUARANTINE_H
#define MEDIATOR_QUARANTINE_H

#include <stdbool.h>

#include "store.h"

struct mediator;
struct tenant;

/* Takes over what the database says of a tenant that has just come. 0, or -1 with a line in the log. */
int quarantine_load(struct tenant *tenant);

/* May it start no programs now? Ends a quarantine that has expired. */
bool quarantine_holds(struct tenant *tenant);

/* It made too many faults. Holds in this mediator even if it cannot be stored, which the log says then. */
void quarantine_faults(struct tenant *tenant, unsigned seconds, const char *last_fault);

/* Of the tenant of that name, whether it is there or not. seconds 0: until it is cleared. */
enum store_result quarantine_set(struct mediator *mediator, const char *name, unsigned seconds, const char *reason,
				 const char *by);
/* STORE_NONE: it was in none. */
enum store_result quarantine_clear(struct mediator *mediator, const char *name, const char *by);

#endif
