/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions of conditional nodes: a number that kernels set by the condition's
 * handle, which is valid as long as anybody has a reference.
 */
#ifndef SOFTGPU_DRIVER_CONDITION_H
#define SOFTGPU_DRIVER_CONDITION_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"

struct condition;

/* With a reference for the caller; NULL: out of memory. */
struct condition *condition_make(uint32_t initial, bool is_reset_at_launch);
void condition_retain(struct condition *condition);
void condition_release(struct condition *condition); /* accepts NULL */
CUgraphConditionalHandle condition_handle(const struct condition *condition);

/* With a reference for the caller; NULL: there is none. */
struct condition *condition_acquire(CUgraphConditionalHandle handle);

uint32_t condition_read(const struct condition *condition);
void condition_reset(struct condition *condition); /* at the launch of a graph */

/* By a kernel, with whatever handle. False: there is none. 'user' is not used. */
bool condition_set(void *user, uint64_t handle, uint32_t value);

#endif
