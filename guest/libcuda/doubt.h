/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the host may refuse a call for its arguments, as far as is known here. Calls that are posted otherwise are
 * waited for then ("doubt" in api/driver), so that a program that calls wrongly gets the error of that call.
 * What a correct program asks for costs no more than a look at the map of its memory.
 */
#ifndef VGPU_DOUBT_H
#define VGPU_DOUBT_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"

/* CU_DEVICE_ATTRIBUTE_MAX_PITCH of every device. */
#define DOUBT_PITCH_MAX INT32_MAX

/* Bytes that a device is to reach, aligned to a power of two. */
bool doubt_span(uint64_t address, uint64_t bytes, uint64_t alignment);

/* Rows of elements, 'pitch' bytes apart; with a single row it does not matter. */
bool doubt_rows(uint64_t address, uint64_t pitch, uint64_t width, uint64_t height, uint64_t element_bytes);

/* What of the box is in device memory. */
bool doubt_box(const CUDA_MEMCPY3D *copy);

/*
 * Nothing is refused, but other processes have the event: what they are told afterwards, in ways that we do not see,
 * may be that it is recorded, or that it may be recorded again.
 */
bool doubt_event(uint32_t event);

#endif
