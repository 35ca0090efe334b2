/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the pools that somebody is in have GPUs: VMs that are registered for a pool or connected, and local programs
 * that are connected. To tell operators who give GPUs to pools; placement.h decides.
 */
#ifndef MEDIATOR_POOL_SUPPLY_H
#define MEDIATOR_POOL_SUPPLY_H

#include <stdbool.h>
#include <stddef.h>

#define POOL_SUPPLY_POOLS 26

struct mediator;

struct pool_supply {
	unsigned free_gpus; /* of this host, that belong to no pool */
	bool any_assigned;  /* only then do pools have GPUs of their own */
	struct pool_supply_pool {
		unsigned users;	   /* VMs and programs */
		unsigned own_gpus; /* of this host */
		bool has_worker;
		bool is_served; /* a program of it could start */
	} pools[POOL_SUPPLY_POOLS];
};

/* False: the driver is not known, or the database cannot be read; then nothing is said. */
bool pool_supply_read(const struct mediator *mediator, struct pool_supply *ret_supply);

/* True: no pool that somebody is in is without a GPU; a sentence in any case. */
bool pool_supply_look(const struct mediator *mediator, char *text, size_t bytes);

/* Is there a pool that somebody is in and that has no worker, or are there no workers at all? */
bool pool_supply_needs_driver(const struct mediator *mediator);

#endif
