/* SPDX-License-Identifier: Apache-2.0 */
#include "jit_options.h"

#include <string.h>

/* Both logs share one reply. */
#define LOG_BYTES_MAX (24u << 10)

static void log_cap(struct jit_log *log)
{
	uintptr_t size = log->size_slot ? (uintptr_t)*log->size_slot & UINT32_MAX : 0;

	log->capacity = 0;
	if (log->buffer)
		log->capacity = size < LOG_BYTES_MAX ? (uint32_t)size : LOG_BYTES_MAX;
}

static CUresult option_read(CUjit_option id, void **slot, struct jit_options *options)
{
	switch (id) {
	case CU_JIT_INFO_LOG_BUFFER:
		options->information.buffer = *slot;
		return CUDA_SUCCESS;
	case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
		options->information.size_slot = slot;
		return CUDA_SUCCESS;
	case CU_JIT_ERROR_LOG_BUFFER:
		options->error.buffer = *slot;
		return CUDA_SUCCESS;
	case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
		options->error.size_slot = slot;
		return CUDA_SUCCESS;
	case CU_JIT_WALL_TIME:
		options->wall_time_slot = slot;
		return CUDA_SUCCESS;
	case CU_JIT_GLOBAL_SYMBOL_NAMES:
	case CU_JIT_GLOBAL_SYMBOL_ADDRESSES:
	case CU_JIT_GLOBAL_SYMBOL_COUNT:
	case CU_JIT_REFERENCED_KERNEL_NAMES:
	case CU_JIT_REFERENCED_KERNEL_COUNT:
	case CU_JIT_REFERENCED_VARIABLE_NAMES:
	case CU_JIT_REFERENCED_VARIABLE_COUNT:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		break;
	}
	if ((int)id < 0 || id >= CU_JIT_NUM_OPTIONS)
		return CUDA_ERROR_INVALID_VALUE;
	if (options->count == JIT_OPTIONS_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	/* Values are packed into pointers; those that are left are all of 32 bits. */
	options->wire[options->count++] = (struct jit_wire_option){
		.id = (uint32_t)id,
		.value = id == CU_JIT_TARGET_FROM_CUCONTEXT ? 0 : (uint32_t)(uintptr_t)*slot,
	};
	return CUDA_SUCCESS;
}

CUresult jit_options_read(unsigned int count, const CUjit_option *ids, void **values, struct jit_options *ret_options)
{
	struct jit_options options = {0};

	if (count && (!ids || !values))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count; i++) {
		CUresult result = option_read(ids[i], &values[i], &options);

		if (result)
			return result;
	}
	log_cap(&options.information);
	log_cap(&options.error);
	*ret_options = options;
	return CUDA_SUCCESS;
}

static void log_give(const struct jit_log *log, const char *text, uint32_t bytes)
{
	if (log->capacity) {
		uint32_t kept = bytes < log->capacity ? bytes : log->capacity - 1;

		memcpy(log->buffer, text, kept);
		log->buffer[kept < log->capacity ? kept : log->capacity - 1] = '\0';
	}
	if (log->size_slot)
		*log->size_slot = (void *)(uintptr_t)(bytes < log->capacity ? bytes : log->capacity);
}

void jit_options_give_logs(const struct jit_options *options, const void *logs, uint32_t logs_bytes,
			   uint32_t information_bytes, uint32_t error_bytes)
{
	const char *text = logs;

	/* The host's numbers are believed only as far as there is text. */
	if (information_bytes > logs_bytes)
		information_bytes = logs_bytes;
	if (error_bytes > logs_bytes - information_bytes)
		error_bytes = logs_bytes - information_bytes;
	log_give(&options->information, text, information_bytes);
	log_give(&options->error, text + information_bytes, error_bytes);
}

void jit_options_give_time(const struct jit_options *options, uint64_t microseconds)
{
	float milliseconds = (float)microseconds / 1000.0f;

	/* The slot itself takes the number, as a float (API reference, CU_JIT_WALL_TIME). */
	if (options->wall_time_slot)
		memcpy(options->wall_time_slot, &milliseconds, sizeof(milliseconds));
}
