/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is shared with the executor, at the same address. */
#ifndef VGPU_PINNED_H
#define VGPU_PINNED_H

#include "memory.h"

#define PINNED_BYTES_MAX (SIZE_MAX - 4096) /* whole pages can be counted */

/* At most PINNED_BYTES_MAX, where session_shares_memory(). */
CUresult pinned_allocate(size_t bytes, uint32_t context, void **ret_address);

/* A memory file that the executor accepts, whole pages; -1: see errno. The caller closes it. */
int pinned_file_make(size_t bytes);

/* Asks the executor for something, of the file that is passed with it (-1: none). */
CUresult pinned_request(uint16_t opcode, int fd, const void *request, size_t bytes, uint32_t context);

/* Gives back a range that has been removed from the map of memory. */
CUresult pinned_free(const struct memory_range *range, uint32_t context);

#endif
