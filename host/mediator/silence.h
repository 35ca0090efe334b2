/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executors that stand still (standstill.h) for longer than the setting executor-silence are ended, and so are relays
 * to one at a worker: their programs get the error of an executor that has died. It is their tenant's fault, unless
 * several tenants' are stuck in the kernel with one GPU (gpu_hangs.h).
 */
#ifndef MEDIATOR_SILENCE_H
#define MEDIATOR_SILENCE_H

struct mediator;
struct silence;

/* Looks from now on, as long as the loop runs. NULL: out of memory. */
struct silence *silence_create(struct mediator *mediator);
void silence_destroy(struct silence *silence);

#endif
