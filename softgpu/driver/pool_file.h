/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a pool that other processes may import: pieces of one sparse
 * file, whose descriptor is the pool's handle.  A piece is punched out of the
 * file when it is freed, and its place is not used again.  May be called by any
 * thread.
 */
#ifndef SOFTGPU_DRIVER_POOL_FILE_H
#define SOFTGPU_DRIVER_POOL_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"

struct pool_file;

/* NULL: the system has no file for it. */
struct pool_file *pool_file_create(CUdevice device);

/* Of another process's pool; the descriptor stays the caller's.  NULL: it is no such file, or of no device here. */
struct pool_file *pool_file_open(int descriptor, CUdevice *ret_device);
void pool_file_close(struct pool_file *file); /* accepts NULL */

/* A descriptor for another process; -1: the system has none. */
int pool_file_share(const struct pool_file *file);

/* Tells the file from all others that there are. */
uint64_t pool_file_identity(const struct pool_file *file);

/* A new piece of zeros; false: there is no room. */
bool pool_file_extend(struct pool_file *file, uint64_t bytes, uint64_t *ret_offset);
void pool_file_punch(const struct pool_file *file, uint64_t offset, uint64_t bytes);

/* Does a piece that begins at 'offset' have so many bytes, as far as the file tells? */
bool pool_file_holds(const struct pool_file *file, uint64_t offset, uint64_t bytes);

/* Puts a piece in place of the arena's memory at 'address', which has as many pages.  False: it cannot be. */
bool pool_file_map(const struct pool_file *file, uint64_t address, uint64_t bytes, uint64_t offset);

#endif
