/* SPDX-License-Identifier: Apache-2.0 */
#include "jit_options.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* On the wire (api/driver/module.api). */
struct wire_option {
	uint32_t id;
	uint32_t reserved;
	uint64_t value;
};

/* Options whose value is a number. Those that carry pointers are never taken from a guest. */
static bool option_is_number(uint32_t id)
{
	switch (id) {
	case CU_JIT_MAX_REGISTERS:
	case CU_JIT_THREADS_PER_BLOCK:
	case CU_JIT_OPTIMIZATION_LEVEL:
	case CU_JIT_TARGET_FROM_CUCONTEXT:
	case CU_JIT_TARGET:
	case CU_JIT_FALLBACK_STRATEGY:
	case CU_JIT_GENERATE_DEBUG_INFO:
	case CU_JIT_LOG_VERBOSE:
	case CU_JIT_GENERATE_LINE_INFO:
	case CU_JIT_CACHE_MODE:
	case CU_JIT_NEW_SM3X_OPT:
	case CU_JIT_FAST_COMPILE:
	case CU_JIT_LTO:
	case CU_JIT_FTZ:
	case CU_JIT_PREC_DIV:
	case CU_JIT_PREC_SQRT:
	case CU_JIT_FMA:
	case CU_JIT_OPTIMIZE_UNUSED_DEVICE_VARIABLES:
	case CU_JIT_POSITION_INDEPENDENT_CODE:
	case CU_JIT_MIN_CTA_PER_SM:
	case CU_JIT_MAX_THREADS_PER_BLOCK:
	case CU_JIT_OVERRIDE_DIRECTIVE_VALUES:
	case CU_JIT_SPLIT_COMPILE:
		return true;
	default:
		return false;
	}
}

static unsigned int option_add(struct jit_options *options, CUjit_option id, void *value)
{
	options->ids[options->count] = id;
	options->values[options->count] = value;
	return options->count++;
}

_Static_assert(sizeof(struct wire_option) == JIT_OPTION_BYTES, "wire format");

static CUresult options_take(struct jit_options *options, const void *wire, uint32_t wire_bytes, uint32_t count)
{
	if (count > JIT_OPTIONS_MAX || wire_bytes < count * sizeof(struct wire_option))
		return CUDA_ERROR_INVALID_VALUE;
	for (uint32_t i = 0; i < count; i++) {
		struct wire_option option;

		memcpy(&option, (const uint8_t *)wire + i * sizeof(option), sizeof(option));
		if (!option_is_number(option.id))
			return CUDA_ERROR_NOT_SUPPORTED;
		/* The driver's convention: the number lies in the pointer's place. */
		option_add(options, (CUjit_option)option.id, (void *)(uintptr_t)option.value);
	}
	return CUDA_SUCCESS;
}

static CUresult log_add(struct jit_options *options, uint32_t bytes, CUjit_option buffer_id, CUjit_option size_id,
			char **ret_log, unsigned int *ret_slot)
{
	char *log;

	if (bytes == 0)
		return CUDA_SUCCESS;
	log = calloc(1, (size_t)bytes + 1);
	if (!log)
		return CUDA_ERROR_OUT_OF_MEMORY;
	option_add(options, buffer_id, log);
	*ret_slot = option_add(options, size_id, (void *)(uintptr_t)bytes);
	*ret_log = log;
	return CUDA_SUCCESS;
}

CUresult jit_options_build(struct jit_options *options, const struct jit_request *request, size_t log_room)
{
	uint32_t info_bytes = request->info_bytes, error_bytes = request->error_bytes;
	CUresult result = options_take(options, request->wire, request->wire_bytes, request->count);

	if (info_bytes > log_room)
		info_bytes = (uint32_t)log_room;
	if (error_bytes > log_room - info_bytes)
		error_bytes = (uint32_t)(log_room - info_bytes);
	if (!result)
		result = log_add(options, info_bytes, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
				 &options->info_log, &options->info_size_slot);
	if (!result)
		result = log_add(options, error_bytes, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
				 &options->error_log, &options->error_size_slot);
	return result;
}

void jit_options_release(struct jit_options *options)
{
	free(options->info_log);
	free(options->error_log);
}

/* Appends a log to the reply's tail; how many bytes of it there are. */
static uint32_t log_copy(const struct jit_options *options, const char *log, unsigned int size_slot, void *tail,
			 uint32_t *tail_bytes)
{
	size_t bytes;

	if (!log)
		return 0;
	/* The driver says how much it wrote; the text says so too. */
	bytes = strnlen(log, (size_t)(uintptr_t)options->values[size_slot]);
	memcpy((uint8_t *)tail + *tail_bytes, log, bytes);
	*tail_bytes += (uint32_t)bytes;
	return (uint32_t)bytes;
}

void jit_options_give_logs(const struct jit_options *options, void *tail, uint32_t *tail_bytes,
			   uint32_t *ret_info_bytes, uint32_t *ret_error_bytes)
{
	*ret_info_bytes = log_copy(options, options->info_log, options->info_size_slot, tail, tail_bytes);
	*ret_error_bytes = log_copy(options, options->error_log, options->error_size_slot, tail, tail_bytes);
}
