/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tenant's limits, shared by its executors: amounts are charged to the tenant's
 * page with an atomic operation, so that the sum is exact whoever allocates at the
 * same time; rates delay and never fail.
 *
 * Everything that allocates on the device calls reserve_charge() (reserve.h) before and
 * memory_release() after it was freed or where the allocation failed.
 */
#ifndef EXECUTOR_LIMIT_H
#define EXECUTOR_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execute.h"

/* CUDA_SUCCESS, or CUDA_ERROR_OUT_OF_MEMORY when it would be more than the tenant may have. */
CUresult memory_charge(struct executor *executor, uint64_t bytes);
/* The driver has taken it already: charged in any case. */
void memory_note(struct executor *executor, uint64_t bytes);
void memory_release(struct executor *executor, uint64_t bytes);

/* Is there a limit? */
bool memory_is_limited(const struct executor *executor);

/* Is the tenant above its limit? */
bool memory_is_exceeded(const struct executor *executor);

CUresult pinned_charge(struct executor *executor, uint64_t bytes);
void pinned_release(struct executor *executor, uint64_t bytes);

/* Brings the tenant's number of objects up to date; CUDA_ERROR_OUT_OF_MEMORY: no further one may be made. */
CUresult limit_handles_admit(struct executor *executor);

/* What the guest sees of a device with 'free_bytes' of 'total_bytes'. */
void limit_memory_view(const struct executor *executor, uint64_t *free_bytes, uint64_t *total_bytes);

/* False: what was taken so far is more than the rates allow by now (gate.delayed_until_ns). */
bool limit_rate_admits(struct executor *executor, uint64_t now);
/* Another record is taken. */
void limit_rate_pay(struct executor *executor, uint64_t now);

/*
 * The same for requests of NVML, which keep a processor of the host, its driver and the mediator busy without the GPU:
 * they count as commands, and all of a tenant's take a part of one processor's time at most. 0, or for how long
 * (nanoseconds) the next one has to wait.
 */
uint64_t limit_telemetry_wait(struct executor *executor, uint64_t now);
/* Another one was answered, in that time. */
void limit_telemetry_pay(struct executor *executor, uint64_t used_ns, uint64_t now);

#endif
