/* SPDX-License-Identifier: Apache-2.0 */
/* The compute caches (compute_cache.h) of this host's tenants. Loop's thread only. */
#ifndef MEDIATOR_TENANT_CACHE_H
#define MEDIATOR_TENANT_CACHE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "compute_cache.h"

struct mediator;
struct tenant;

/* As configured, also again; what has failed is tried again. */
void tenant_caches_configure(struct mediator *mediator);

/* Is the tenant known again by its name? Then what it leaves is its own when it comes back. */
bool tenant_is_lasting(const struct tenant *tenant);

/* A name for files that no other tenant has. */
void tenant_folder_name(const struct tenant *tenant, char name[COMPUTE_CACHE_NAME_BYTES]);

/* The same, of its compute cache. False: it has none. */
bool tenant_cache_name(const struct tenant *tenant, char name[COMPUTE_CACHE_NAME_BYTES]);

/* compute_cache_clean(), when it is known which tenants are there. */
void tenant_caches_clean(struct mediator *mediator);

struct tenant_cache_removal;
LIST_HEAD(tenant_cache_removal_list, tenant_cache_removal);

/* Frees what belongs to removals that are not finished; the next mediator continues them. */
void tenant_cache_removals_destroy(struct mediator *mediator);

#endif
