/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that processes of one user share, named by the 64 bytes of an IPC handle:
 * System V segments, which are marked for removal as soon as they are attached.
 * Linux lets others attach them as long as somebody has them, and removes them
 * with the last one, however its process ends.
 */
#ifndef SOFTGPU_DRIVER_SEGMENT_H
#define SOFTGPU_DRIVER_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

enum segment_kind { SEGMENT_MEMORY = 1, SEGMENT_EVENT };

/* What a handle holds. */
struct segment {
	uint64_t magic;
	int32_t id;
	int32_t process; /* that made it */
	uint64_t bytes;	 /* whole pages */
	uint32_t kind;
	uint32_t reserved;
};
_Static_assert(sizeof(struct segment) <= CU_IPC_HANDLE_SIZE, "it fits into a handle");

/* A new segment, attached at '*place', or anywhere where that is NULL; zeros.  False: the system has none. */
bool segment_make(enum segment_kind kind, size_t bytes, void **place, struct segment *ret_segment);

/* Is the handle that of a segment that is there, made by another process? CUDA_ERROR_INVALID_VALUE or INVALID_CONTEXT.
 */
CUresult segment_read(const char *handle, enum segment_kind kind, struct segment *ret_segment);
void segment_write(const struct segment *segment, char *handle);

/* Attaches it in place of what is mapped at '*place', or anywhere where that is NULL. */
bool segment_attach(const struct segment *segment, void **place);

/* True: no other process has it any more. */
bool segment_is_ours_alone(const struct segment *segment);

#endif
