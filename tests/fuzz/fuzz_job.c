/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target: any bytes as a VM's stream of jobs. Device memory is memory of this process, so that the sanitizer
 * sees what is copied beyond it; kernels do nothing.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

const char *gpu_error_name(const struct gpu *gpu, CUresult result)
{
	(void)gpu;
	return result ? "an error" : "no error";
}

static CUresult synchronize(void)
{
	return CUDA_SUCCESS;
}

static CUresult module_load(CUmodule *module, const void *image)
{
	static char any;

	*module = (CUmodule)(void *)&any;
	return strlen(image) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_PTX;
}

static CUresult module_unload(CUmodule module)
{
	(void)module;
	return CUDA_SUCCESS;
}

static CUresult module_function(CUfunction *function, CUmodule module, const char *name)
{
	*function = (CUfunction)(void *)module;
	return strlen(name) ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

static CUresult allocate(CUdeviceptr *address, size_t bytes)
{
	void *memory = bytes ? calloc(1, bytes) : NULL;

	*address = (uintptr_t)memory;
	return memory ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult release(CUdeviceptr address)
{
	free((void *)(uintptr_t)address);
	return CUDA_SUCCESS;
}

static CUresult clear(CUdeviceptr address, unsigned char value, size_t bytes)
{
	memset((void *)(uintptr_t)address, value, bytes);
	return CUDA_SUCCESS;
}

static CUresult copy_in(CUdeviceptr to, const void *from, size_t bytes)
{
	memcpy((void *)(uintptr_t)to, from, bytes);
	return CUDA_SUCCESS;
}

static CUresult copy_out(void *to, CUdeviceptr from, size_t bytes)
{
	memcpy(to, (const void *)(uintptr_t)from, bytes);
	return CUDA_SUCCESS;
}

static CUresult launch(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
		       unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream, void **parameters,
		       void **extra)
{
	(void)shared_bytes;
	(void)stream;
	(void)extra;
	if (!function || !parameters || !grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static struct gpu gpu = {
	.synchronize = synchronize,
	.module_load = module_load,
	.module_unload = module_unload,
	.module_function = module_function,
	.allocate = allocate,
	.release = release,
	.clear = clear,
	.copy_in = copy_in,
	.copy_out = copy_out,
	.launch = launch,
};

/* As the runner gets it, a line of its own. */
static void answer_try(const char *request, size_t bytes)
{
	char *answer = job_answer(&gpu, request, bytes);

	if (answer && strchr(answer, '\n'))
		abort();
	free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct scan scan = {0};
	size_t at = 0;

	while (at < bytes) {
		size_t taken;
		enum scan_result result = scan_bytes(&scan, (const char *)data + at, bytes - at, &taken);

		at += taken;
		if (result == SCAN_TOO_BIG)
			break;
		if (result == SCAN_WHOLE)
			answer_try(scan.request, scan.bytes);
		if (result != SCAN_MORE)
			scan_reset(&scan);
		else if (!taken)
			abort();
	}
	free(scan.request);
	/* The runner does not trust that somebody has looked. */
	answer_try((const char *)data, bytes);
	return 0;
}
