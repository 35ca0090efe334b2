/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placing virtual registers in a function's frame.  Registers that are never
 * alive together share a place, so that a warp's frame stays in the cache.
 */
#ifndef SOFTGPU_REGISTERS_H
#define SOFTGPU_REGISTERS_H

#include "ptx.h"

/*
 * Sets every register's offset.  The bytes of frame used so far, a multiple of
 * 64; 0: too much, or out of memory.  *ret_count: 32-bit registers needed.
 */
uint32_t registers_allocate(struct ptx_function *function, uint32_t *ret_count);

#endif
