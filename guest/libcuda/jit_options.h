/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of the compiler in the load calls.  On the wire they are numbers; what
 * points into the program (log buffers, the time taken) stays here and is filled
 * from the reply.
 */
#ifndef VGPU_JIT_OPTIONS_H
#define VGPU_JIT_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

/* As module.api describes it. */
struct jit_wire_option {
	uint32_t id;
	uint32_t reserved;
	uint64_t value;
};

#define JIT_OPTIONS_MAX CU_JIT_NUM_OPTIONS

/* A log that the program wants: its buffer, and the slot that has its size and gets what was used. */
struct jit_log {
	char *buffer;
	void **size_slot;
	uint32_t capacity;
};

struct jit_options {
	struct jit_wire_option wire[JIT_OPTIONS_MAX];
	uint32_t count;
	struct jit_log information;
	struct jit_log error;
	void **wall_time_slot;
};

/* CUDA_ERROR_NOT_SUPPORTED for options that point to tables of names. */
CUresult jit_options_read(unsigned int count, const CUjit_option *ids, void **values, struct jit_options *ret_options);

/* Gives the program its logs, 'logs' being information then error. */
void jit_options_give_logs(const struct jit_options *options, const void *logs, uint32_t logs_bytes,
			   uint32_t information_bytes, uint32_t error_bytes);
void jit_options_give_time(const struct jit_options *options, uint64_t microseconds);

#endif
