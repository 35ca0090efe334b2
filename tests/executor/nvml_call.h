/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of NVML_CALL (vgpu_nvml.h) as an honest guest makes them, for tests that change them. */
#ifndef TEST_NVML_CALL_H
#define TEST_NVML_CALL_H

#include <stddef.h>
#include <stdint.h>

#include "nvml_functions.h"

#define NVML_CALL_WORDS_MAX 2048
#define NVML_CALL_ELEMENTS  6 /* that are asked for */

struct nvml_call {
	uint64_t words[NVML_CALL_WORDS_MAX];
	size_t count;
};

void nvml_call_make(struct nvml_call *call, const struct nvml_function *function);
void nvml_call_word_add(struct nvml_call *call, uint64_t word);

#endif
