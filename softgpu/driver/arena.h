/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address range that is the GPU's memory.
 *
 * It is reserved without access (PROT_NONE) and costs nothing until touched.  A
 * block is whole pages, followed by at least one page without access, so that a
 * kernel that runs over the end of a block faults.  A released block's pages go
 * back to the system before the range can be given out again: nobody ever sees
 * what another left, and fresh blocks read as zeros.
 *
 * The devices share the addresses; each has memory of its own, which is only counted.
 *
 * There are more addresses than memory, so that guard pages and fragments do not
 * use up what the GPU is said to have, and that freed addresses rest for long.
 *
 * All functions may be called by any thread.
 */
#ifndef SOFTGPU_DRIVER_ARENA_H
#define SOFTGPU_DRIVER_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

/* CUDA promises at least 256 (CUDA C++ programming guide, device memory accesses); we give pages. */
#define ARENA_PAGE_BYTES ((size_t)4096)

/* Reserves the addresses for the memory of all devices (device_table.h).  0, or an errno. */
int arena_open(void);

uint64_t arena_base(void);
uint64_t arena_span_bytes(void); /* addresses */
uint64_t arena_used_bytes(CUdevice device);
bool arena_holds(uint64_t address);

/* A block of at least 'bytes' (not 0) of the device's memory, zeroed; its address, or 0 when there is none. */
uint64_t arena_allocate(CUdevice device, size_t bytes, size_t alignment);
void arena_release(uint64_t address); /* of arena_allocate or arena_reserve */

/* Whole pages of addresses without memory; 0 when there are none. */
uint64_t arena_reserve(size_t bytes, size_t alignment);
/* Does [address, address + bytes) lie within one block of arena_reserve (wholly: is it one)? */
bool arena_reserved(uint64_t address, uint64_t bytes, bool wholly);

/* Memory that is mapped into reserved blocks; false: there is not so much left. */
bool arena_charge(CUdevice device, uint64_t bytes);
void arena_discharge(CUdevice device, uint64_t bytes);

#endif
