/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel's area: memory that a virtual machine shares with the executor and
 * that can be pinned.  Parts of it, in whole pages, are given out and taken back.
 * Any thread.
 */
#ifndef VGPU_AREA_H
#define VGPU_AREA_H

#include <stdbool.h>

#include "call.h"

/* Both know the area at one address, then; not before a context is there. CUDA_ERROR_NOT_SUPPORTED: there is none. */
CUresult area_open(uint32_t context);

/* A part of the area; NULL: none is free that large. */
void *area_take(size_t bytes);
void area_give(void *address, size_t bytes);

/* Has the program a part mapped elsewhere too, or does nobody know? */
bool area_is_elsewhere(const void *address, size_t bytes);

/* Where in the channel's memory a part lies. */
size_t area_offset(const void *address);

#endif
