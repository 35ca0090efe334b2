/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the driver's compiler and linker, made from a guest's. */
#ifndef EXECUTOR_JIT_OPTIONS_H
#define EXECUTOR_JIT_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

#define JIT_OPTIONS_MAX 64

/* The driver's arrays: the guest's options, then the logs. They stay where they are while the driver has them. */
struct jit_options {
	CUjit_option ids[JIT_OPTIONS_MAX + 4];
	void *values[JIT_OPTIONS_MAX + 4];
	unsigned int count;
	char *info_log;
	char *error_log;
	unsigned int info_size_slot;
	unsigned int error_size_slot;
};

#define JIT_OPTION_BYTES 16 /* of one on the wire */

/* What the guest asks for: 'count' options on the wire (api/driver/module.api), and logs of those sizes. */
struct jit_request {
	const void *wire;
	uint32_t wire_bytes;
	uint32_t count;
	uint32_t info_bytes;
	uint32_t error_bytes;
};

/*
 * 'log_room' is the room for both logs in a reply; longer ones are cut. jit_options_release() in any case.
 * CUDA_ERROR_NOT_SUPPORTED for an option that is no number.
 */
CUresult jit_options_build(struct jit_options *options, const struct jit_request *request, size_t log_room);
void jit_options_release(struct jit_options *options);

/* Appends the logs so far to the reply's tail, information first, and says how long each is. */
void jit_options_give_logs(const struct jit_options *options, void *tail, uint32_t *tail_bytes,
			   uint32_t *ret_info_bytes, uint32_t *ret_error_bytes);

#endif
