/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's NVML, for the modes of this program that look at GPUs without CUDA. One thread.
 */
#ifndef EXECUTOR_NVML_H
#define EXECUTOR_NVML_H

#define NVML_DEVICE_UUID_BYTES 96 /* nvml.h */

typedef int nvml_no_arguments(void);
typedef int nvml_count(unsigned int *count);
typedef int nvml_handle(unsigned int index, void **handle);
typedef int nvml_text(void *handle, char *text, unsigned int bytes);

struct nvml {
	void *library;
	nvml_count *count;
	nvml_handle *handle;
	nvml_text *uuid;
};

/*
 * Stays open until the process ends. NVML's own result: NVML_ERROR_LIBRARY_NOT_FOUND where there is none,
 * NVML_ERROR_FUNCTION_NOT_FOUND where it has not even what is in the structure.
 */
int nvml_open(struct nvml *ret_nvml);

/* NULL: an older one lacks it. */
void *nvml_function(const struct nvml *nvml, const char *name);

#endif
