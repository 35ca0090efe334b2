/* SPDX-License-Identifier: Apache-2.0 */
#include "trial.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void trial_begin(struct trial *trial, const struct driver *driver, const char *ptx_folder)
{
	memset(trial, 0, sizeof(*trial));
	trial->driver = driver;
	trial->ptx_folder = ptx_folder;
	trial->random_state = 0x853c49e6748fea9bull;
}

void trial_end(struct trial *trial)
{
	for (size_t i = 0; i < trial->device_count; i++) {
		CUresult result = trial->driver->memory_free(trial->device[i]);
		if (result != CUDA_SUCCESS)
			trial_fail(trial, "cuMemFree: %s", driver_error_name(trial->driver, result));
	}
	for (size_t i = 0; i < trial->module_count; i++) {
		CUresult result = trial->driver->module_unload(trial->modules[i].handle);
		if (result != CUDA_SUCCESS)
			trial_fail(trial, "cuModuleUnload: %s", driver_error_name(trial->driver, result));
	}
	for (size_t i = 0; i < trial->host_count; i++)
		free(trial->host[i]);
	trial->device_count = 0;
	trial->module_count = 0;
	trial->host_count = 0;
}

/* A reason is the rest of a line of the report. */
__attribute__((format(printf, 2, 0))) static void write_reason(struct trial *trial, const char *format,
							       va_list arguments)
{
	vsnprintf(trial->why, sizeof(trial->why), format, arguments);
	for (char *at = trial->why; *at != 0; at++)
		if ((unsigned char)*at < ' ')
			*at = ' ';
}

void trial_fail(struct trial *trial, const char *format, ...)
{
	if (trial->failed || trial->skipped)
		return;
	va_list arguments;
	va_start(arguments, format);
	write_reason(trial, format, arguments);
	va_end(arguments);
	trial->failed = true;
}

void trial_skip(struct trial *trial, const char *format, ...)
{
	if (trial->failed || trial->skipped)
		return;
	va_list arguments;
	va_start(arguments, format);
	write_reason(trial, format, arguments);
	va_end(arguments);
	trial->skipped = true;
}

static bool is_over(const struct trial *trial)
{
	return trial->failed || trial->skipped;
}

static bool check(struct trial *trial, CUresult result, const char *call)
{
	if (result != CUDA_SUCCESS)
		trial_fail(trial, "%s: %s", call, driver_error_name(trial->driver, result));
	return result == CUDA_SUCCESS;
}

void *trial_allocate(struct trial *trial, size_t count, size_t element_bytes)
{
	void *memory = trial->host_count < TRIAL_ALLOCATIONS_MAX ? calloc(count, element_bytes) : NULL;
	if (memory == NULL) {
		printf("Bail out! no memory for %zu elements of %zu bytes\n", count, element_bytes);
		exit(1);
	}
	trial->host[trial->host_count++] = memory;
	return memory;
}

static CUdeviceptr allocate_device(struct trial *trial, size_t bytes)
{
	CUdeviceptr address = 0;
	if (trial->device_count == TRIAL_ALLOCATIONS_MAX)
		trial_fail(trial, "the case allocates more than %d times", TRIAL_ALLOCATIONS_MAX);
	if (is_over(trial) || !check(trial, trial->driver->memory_allocate(&address, bytes), "cuMemAlloc"))
		return 0;
	trial->device[trial->device_count++] = address;
	return address;
}

CUdeviceptr trial_upload(struct trial *trial, const void *from, size_t bytes)
{
	CUdeviceptr address = allocate_device(trial, bytes);
	trial_write(trial, address, from, bytes);
	return address;
}

CUdeviceptr trial_reserve(struct trial *trial, size_t bytes)
{
	CUdeviceptr address = allocate_device(trial, bytes);
	if (!is_over(trial))
		check(trial, trial->driver->set_bytes(address, 0, bytes), "cuMemsetD8");
	return address;
}

void trial_write(struct trial *trial, CUdeviceptr to, const void *from, size_t bytes)
{
	if (!is_over(trial))
		check(trial, trial->driver->copy_to_device(to, from, bytes), "cuMemcpyHtoD");
}

void *trial_download(struct trial *trial, CUdeviceptr from, size_t bytes)
{
	void *memory = trial_allocate(trial, 1, bytes);
	if (!is_over(trial))
		check(trial, trial->driver->copy_to_host(memory, from, bytes), "cuMemcpyDtoH");
	return memory;
}

/* Returns the file as a string that the caller frees, or NULL. */
static char *read_text(const char *path)
{
	char *text = NULL;
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return NULL;
	if (fseek(file, 0, SEEK_END) != 0)
		goto out;
	long bytes = ftell(file);
	if (bytes < 0 || fseek(file, 0, SEEK_SET) != 0)
		goto out;
	text = malloc((size_t)bytes + 1);
	if (text == NULL)
		goto out;
	if (fread(text, 1, (size_t)bytes, file) != (size_t)bytes) {
		free(text);
		text = NULL;
		goto out;
	}
	text[bytes] = 0;
out:
	fclose(file);
	return text;
}

static CUmodule find_module(struct trial *trial, const char *name)
{
	for (size_t i = 0; i < trial->module_count; i++)
		if (strcmp(trial->modules[i].name, name) == 0)
			return trial->modules[i].handle;
	if (trial->module_count == TRIAL_MODULES_MAX) {
		trial_fail(trial, "the case loads more than %d modules", TRIAL_MODULES_MAX);
		return NULL;
	}
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s.ptx", trial->ptx_folder, name);
	char *text = read_text(path);
	if (text == NULL) {
		trial_fail(trial, "cannot read %s", path);
		return NULL;
	}
	CUmodule handle = NULL;
	bool loaded = check(trial, trial->driver->module_load_data(&handle, text), "cuModuleLoadData");
	free(text);
	if (!loaded)
		return NULL;
	snprintf(trial->modules[trial->module_count].name, sizeof(trial->modules[0].name), "%s", name);
	trial->modules[trial->module_count++].handle = handle;
	return handle;
}

void trial_launch(struct trial *trial, const char *module_name, const char *kernel, struct trial_grid grid,
		  void **parameters)
{
	const struct driver *driver = trial->driver;
	CUmodule module = is_over(trial) ? NULL : find_module(trial, module_name);
	CUfunction function = NULL;
	if (module == NULL || !check(trial, driver->module_get_function(&function, module, kernel), kernel))
		return;
	CUresult result;
	if (grid.cooperative)
		result = driver->launch_cooperative(function, grid.grid[0], grid.grid[1], grid.grid[2], grid.block[0],
						    grid.block[1], grid.block[2], grid.shared_bytes, NULL, parameters);
	else
		result = driver->launch(function, grid.grid[0], grid.grid[1], grid.grid[2], grid.block[0],
					grid.block[1], grid.block[2], grid.shared_bytes, NULL, parameters, NULL);
	if (result != CUDA_SUCCESS) {
		trial_fail(trial, "launch of %s: %s", kernel, driver_error_name(driver, result));
		return;
	}
	result = driver->synchronize();
	if (result != CUDA_SUCCESS)
		trial_fail(trial, "%s ended with %s", kernel, driver_error_name(driver, result));
}

CUdeviceptr trial_global(struct trial *trial, const char *module_name, const char *name, size_t bytes)
{
	CUmodule module = is_over(trial) ? NULL : find_module(trial, module_name);
	CUdeviceptr address = 0;
	size_t actual = 0;
	if (module == NULL || !check(trial, trial->driver->module_get_global(&address, &actual, module, name), name))
		return 0;
	if (actual != bytes) {
		trial_fail(trial, "variable %s has %zu bytes, not %zu", name, actual, bytes);
		return 0;
	}
	return address;
}

/* splitmix64, by Sebastiano Vigna's published constants. */
uint64_t trial_random(struct trial *trial)
{
	uint64_t x = trial->random_state += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

float trial_random_float(struct trial *trial, float low, float high)
{
	return low + (high - low) * ((float)(trial_random(trial) >> 40) / 16777216.0f);
}

void trial_equal_u32(struct trial *trial, const char *what, const uint32_t *got, const uint32_t *expected, size_t count)
{
	for (size_t i = 0; i < count && !is_over(trial); i++)
		if (got[i] != expected[i])
			trial_fail(trial, "%s[%zu] is 0x%08" PRIx32 ", expected 0x%08" PRIx32, what, i, got[i],
				   expected[i]);
}

void trial_equal_u64(struct trial *trial, const char *what, const uint64_t *got, const uint64_t *expected, size_t count)
{
	for (size_t i = 0; i < count && !is_over(trial); i++)
		if (got[i] != expected[i])
			trial_fail(trial, "%s[%zu] is 0x%016" PRIx64 ", expected 0x%016" PRIx64, what, i, got[i],
				   expected[i]);
}

void trial_equal_bytes(struct trial *trial, const char *what, const void *got, const void *expected, size_t count,
		       size_t element_bytes)
{
	const unsigned char *a = got, *b = expected;
	for (size_t i = 0; i < count * element_bytes && !is_over(trial); i++)
		if (a[i] != b[i])
			trial_fail(trial, "%s[%zu] byte %zu is 0x%02x, expected 0x%02x", what, i / element_bytes,
				   i % element_bytes, a[i], b[i]);
}

static bool is_near(double got, double expected, double absolute, double relative)
{
	if (isnan(expected) || isnan(got))
		return isnan(expected) && isnan(got);
	if (isinf(expected) || isinf(got))
		return expected == got;
	return fabs(got - expected) <= absolute + relative * fabs(expected);
}

void trial_near_float(struct trial *trial, const char *what, const float *got, const float *expected, size_t count,
		      double absolute, double relative)
{
	for (size_t i = 0; i < count && !is_over(trial); i++)
		if (!is_near(got[i], expected[i], absolute, relative))
			trial_fail(trial, "%s[%zu] is %.9g, expected %.9g", what, i, (double)got[i],
				   (double)expected[i]);
}

void trial_near_double(struct trial *trial, const char *what, const double *got, const double *expected, size_t count,
		       double absolute, double relative)
{
	for (size_t i = 0; i < count && !is_over(trial); i++)
		if (!is_near(got[i], expected[i], absolute, relative))
			trial_fail(trial, "%s[%zu] is %.17g, expected %.17g", what, i, got[i], expected[i]);
}
