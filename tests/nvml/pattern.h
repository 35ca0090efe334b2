/* SPDX-License-Identifier: Apache-2.0 */
/* What the fake library expects and gives: values that follow from a function, a parameter and a device. */
#ifndef TEST_NVML_PATTERN_H
#define TEST_NVML_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "nvml_functions.h"

#define FAKE_DEVICES  3
#define FAKE_ELEMENTS 5 /* what each counted array has */

/* The value that a parameter of role IN has. */
uint64_t pattern_value(const struct nvml_function *function, unsigned index);

/* Bytes of a parameter on its way to the library, or back from it; 'device' of the first handle, 0 without. */
void pattern_fill(const struct nvml_function *function, unsigned index, unsigned device, bool is_back, void *place,
		  size_t bytes);
bool pattern_matches(const struct nvml_function *function, unsigned index, unsigned device, bool is_back,
		     const void *place, size_t bytes);

#endif
