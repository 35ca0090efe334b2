/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_NVML_FAKE_LIBRARY_H
#define TEST_NVML_FAKE_LIBRARY_H

#include "nvml_functions.h"

#define FAKE_API(name, ...)                                           \
	__attribute__((visibility("default"))) int name(__VA_ARGS__); \
	int name(__VA_ARGS__)

struct nvml_device;

/* Checks the arguments of a function, aborts where they are not what the test sends, and answers. */
int fake_call(enum nvml_function_number number, const uint64_t *arguments);

#endif
