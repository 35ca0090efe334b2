/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points of the library. Results are enum nvml_result, int in NVML's own prototypes. */
#ifndef NVML_ENTRY_H
#define NVML_ENTRY_H

#include "nvml_functions.h"

/* Declares and defines an exported entry point. */
#define NVML_API(name, ...)                                           \
	__attribute__((visibility("default"))) int name(__VA_ARGS__); \
	int name(__VA_ARGS__)

struct nvml_device;

#endif
