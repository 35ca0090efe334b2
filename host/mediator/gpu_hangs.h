/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPUs of this host, and of workers, with which executors of several tenants were stuck in the kernel at once (hang.h):
 * that is their driver's fault, and no tenant's. It is told, and programs go on to be started there: else tenants that
 * are in league could take a GPU away from all others.
 *
 * A GPU is known by its UUID (probe_device_gpu()), and a worker's by the worker's address too (else ""): its number may
 * be another one's after a reload. Of one that is not there any more nothing is told but what was counted, until it
 * comes back.
 */
#ifndef MEDIATOR_GPU_HANGS_H
#define MEDIATOR_GPU_HANGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpus.h"
#include "store.h"

#define GPU_HANGS_MAX		128u /* GPUS_MAX of them this host's */
#define GPU_HANGS_ADDRESS_BYTES 256

struct channel;
struct evbuffer;
struct mediator;

struct gpu_hang {
	char worker[GPU_HANGS_ADDRESS_BYTES];
	char uuid[64];
	char teller[STORE_KEY_BYTES]; /* of a worker's: the tenant whose relay said so last */
	bool is_marked;		      /* it hung, and was not cleared since */
	uint64_t noted_ms;	      /* when it last did, or was said to */
	uint64_t count;		      /* executors that were ended for it; one that works with several GPUs, for each */
};

/* All zero: there were none. */
struct gpu_hangs {
	struct gpu_hang gpus[GPU_HANGS_MAX];
	unsigned count;
};

/*
 * One more executor that works with this one of this host's, at that time (CLOCK_MONOTONIC); 0: it was excused for what
 * was seen of others before (hang_judge()).
 */
void gpu_hangs_note(struct mediator *mediator, const char *uuid, uint64_t seen_ms);

/*
 * The channel's, at a worker, which says at which place (VGPU_PCI_PLACE) the GPU is, with all its instances; if none of
 * its GPUs is there, it is those that the executor says it uses, or else any. It is counted; that the GPU hung is told
 * once relays of two tenants say so, not longer after each other than an executor may be stuck.
 */
void gpu_hangs_worker_note(const struct channel *channel, uint32_t pci_place);

/* This host's hung in the last 'within_ms', and was not cleared. */
bool gpu_hangs_recently(const struct gpu_hangs *hangs, const char *uuid, uint64_t now_ms, uint64_t within_ms);

/* Forgets that this host's hung, not what was counted. False: it did not. */
bool gpu_hangs_clear(struct gpu_hangs *hangs, const char *uuid);

/* The same of a worker's, by its name (gpu_name.h). */
bool gpu_hangs_worker_clear(struct mediator *mediator, const char *name);

/* Of this host's, in a few words; "": nothing. */
void gpu_hangs_describe(const struct gpu_hangs *hangs, const char *uuid, char *text, size_t bytes);

/* True: none of those that there are hung. Else a sentence. */
bool gpu_hangs_look(const struct mediator *mediator, char *text, size_t bytes);

/* Appends their metric. */
void gpu_hangs_write(const struct mediator *mediator, struct evbuffer *output);

#endif
