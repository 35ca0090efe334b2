/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPUs of this host with which executors of several tenants were stuck in the kernel at once (silence.h): that is their
 * driver's fault, and no tenant's. It is told, and programs go on to be started there: else tenants that are in league
 * could take a GPU away from all others.
 */
#ifndef MEDIATOR_GPU_HANGS_H
#define MEDIATOR_GPU_HANGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPU_HANGS_GPUS 32 /* bits of a word */

struct evbuffer;

/* All zero: there were none. GPUs are bits, by their numbers on this host. */
struct gpu_hangs {
	uint32_t gpus;			   /* that were not cleared since */
	uint64_t noted_ms[GPU_HANGS_GPUS]; /* when they last did */
	uint64_t counts[GPU_HANGS_GPUS];   /* executors that were ended for it; one that works with several, for each */
};

/* One more executor, that works with these, at that time (CLOCK_MONOTONIC). */
void gpu_hangs_note(struct gpu_hangs *hangs, uint32_t gpus, uint64_t now_ms);

/* Those that did so in the last 'within_ms', and were not cleared. */
uint32_t gpu_hangs_recent(const struct gpu_hangs *hangs, uint64_t now_ms, uint64_t within_ms);

/* Forgets that it hung, not what was counted. False: it did not. */
bool gpu_hangs_clear(struct gpu_hangs *hangs, unsigned gpu);

/* In a few words; "": nothing. */
void gpu_hangs_describe(const struct gpu_hangs *hangs, unsigned gpu, char *text, size_t bytes);

/* True: none hung. Else a sentence. */
bool gpu_hangs_look(const struct gpu_hangs *hangs, char *text, size_t bytes);

/* Appends their metric. */
void gpu_hangs_write(const struct gpu_hangs *hangs, struct evbuffer *output);

#endif
