/* SPDX-License-Identifier: Apache-2.0 */
#include "jit.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver.h"
#include "error_log.h"
#include "memory.h"
#include "softgpu/engine/engine.h"

CUresult jit_read(unsigned count, const CUjit_option *names, void **values, struct jit *ret_jit)
{
	struct jit jit = {0};

	if (count && (!names || !values))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned index = 0; index < count; index++) {
		switch (names[index]) {
		case CU_JIT_ERROR_LOG_BUFFER:
			jit.error_log = values[index];
			break;
		case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
			/* The documentation has an unsigned int packed in the pointer. */
			jit.error_log_bytes = (uint32_t)(uintptr_t)values[index];
			jit.error_log_used = &values[index];
			break;
		case CU_JIT_INFO_LOG_BUFFER:
			jit.info_log = values[index];
			break;
		case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
			jit.info_log_bytes = (uint32_t)(uintptr_t)values[index];
			jit.info_log_used = &values[index];
			break;
		case CU_JIT_WALL_TIME:
			jit.wall_time = &values[index];
			break;
		default:
			if ((unsigned)names[index] >= CU_JIT_NUM_OPTIONS)
				return CUDA_ERROR_INVALID_VALUE;
		}
	}
	if (!jit.error_log)
		jit.error_log_bytes = 0;
	if (!jit.info_log)
		jit.info_log_bytes = 0;
	*ret_jit = jit;
	return CUDA_SUCCESS;
}

static void log_write(char *log, size_t bytes, void **used, const char *text)
{
	size_t length = strlen(text);

	if (bytes) {
		if (length >= bytes)
			length = bytes - 1;
		memcpy(log, text, length);
		log[length] = 0;
	} else {
		length = 0;
	}
	if (used)
		*used = (void *)(uintptr_t)length;
}

static CUresult result_of(enum engine_status status)
{
	switch (status) {
	case ENGINE_OK:
		return CUDA_SUCCESS;
	case ENGINE_ERROR_OUT_OF_MEMORY:
		return CUDA_ERROR_OUT_OF_MEMORY;
	case ENGINE_ERROR_UNSUPPORTED_PTX:
		return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
	case ENGINE_ERROR_UNRESOLVED:
	case ENGINE_ERROR_NOT_FOUND:
		return CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND;
	default:
		return CUDA_ERROR_INVALID_PTX;
	}
}

/* An empty message says that all went well. */
static void message_deliver(const struct jit *jit, const char *message)
{
	log_write(jit->info_log, jit->info_log_bytes, jit->info_log_used, "");
	log_write(jit->error_log, jit->error_log_bytes, jit->error_log_used, message);
	if (*message) {
		error_log_add(message);
		fprintf(stderr, "softgpu: module not loaded: %s\n", message);
	}
}

CUresult jit_read_image(const void *data, const struct jit *jit, struct image *ret_image)
{
	CUresult result = image_read(data, ret_image);
	const char *disabled = getenv("CUDA_DISABLE_PTX_JIT");

	if (!result && disabled && strtol(disabled, NULL, 10) != 0) {
		message_deliver(jit, "CUDA_DISABLE_PTX_JIT is set, and there is nothing but PTX");
		return CUDA_ERROR_JIT_COMPILATION_DISABLED;
	}
	if (result == CUDA_ERROR_NO_BINARY_FOR_GPU)
		message_deliver(jit, "the image holds no PTX for compute capability 9.0 or less, only machine code "
				     "or PTX of newer GPUs; compile with -gencode arch=compute_90,code=compute_90");
	else if (result)
		message_deliver(jit, "the image is damaged, or neither PTX nor a fatbin");
	return result;
}

CUresult jit_load(CUdevice device, const struct image *image, const struct jit *jit, struct engine_module **ret_module)
{
	struct timespec start, end;
	enum engine_status status;
	char message[1024] = "";
	float milliseconds;

	clock_gettime(CLOCK_MONOTONIC, &start);
	memory_engine_device_set(device);
	status = engine_module_load_placed(driver_engine(), image->texts, image->count, image->placements,
					   image->placement_count, message, sizeof(message), ret_module);
	clock_gettime(CLOCK_MONOTONIC, &end);
	message_deliver(jit, status ? message : "");
	if (jit->wall_time) {
		milliseconds = (float)((double)(end.tv_sec - start.tv_sec) * 1e3 +
				       (double)(end.tv_nsec - start.tv_nsec) / 1e6);
		memcpy(jit->wall_time, &milliseconds, sizeof(milliseconds));
	}
	return result_of(status);
}
