/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which GPU a program starts on. As long as no GPU belongs to a pool, programs see all of them, and are
 * scheduled with those that use the same (scheduler_devices.c). Once one does, each program sees one GPU: the one of
 * its pool with the fewest programs, or, where its pool has none, of those that belong to no pool. A worker of the pool
 * counts as one GPU more. None starts on a GPU that is faulty (gpu_events.h); where all would see a faulty one, each
 * sees one of the others; and so it is where a GPU is in MIG mode, for CUDA shows a process one instance only: each of
 * them is as a GPU here. A worker that cannot be reached, or that has refused a program lately, comes last.
 *
 * A program has several channels (CUDA's and NVML's), which are to see the same GPU: those of a local process do, for
 * the kernel says whose they are. Of a VM's channels nobody does. With the setting "placement = tenant" all programs of
 * a tenant, VM or not, see the GPU that its programs which run already see.
 */
#ifndef MEDIATOR_PLACEMENT_H
#define MEDIATOR_PLACEMENT_H

#include <stdbool.h>

#define PLACEMENT_UUID_BYTES 64

struct channel;
struct mediator;

struct channel_placement {
	unsigned gpu;
	char uuid[PLACEMENT_UUID_BYTES]; /* empty: all GPUs, of this host or of the worker */
	bool has_others;		 /* if it cannot start there, it could elsewhere */
};

/*
 * Where the channel's program is to start: nowhere where it has been tried already. False: the pool has no GPU without
 * faults, or the database cannot be read.
 */
bool placement_choose(const struct channel *channel, struct channel_placement *ret_placement);

/* Is it a value of the setting "placement"? */
bool placement_setting_is_known(const char *text);

/* How many of this host's GPUs without faults belong to each pool, by its letter; to none: at 0. */
struct placement_gpus {
	bool any_assigned; /* also one that is not there now */
	unsigned usable['Z' + 1];
};
/* False: the database cannot be read. */
bool placement_gpus_read(const struct mediator *mediator, struct placement_gpus *ret_gpus);

/* The pool that the GPU of that number belongs to; 0: to none, or it is not known. */
char placement_pool(const struct mediator *mediator, unsigned gpu);

#endif
