/* SPDX-License-Identifier: Apache-2.0 */
#include "nvml_call.h"

#include <stdlib.h>

void nvml_call_word_add(struct nvml_call *call, uint64_t word)
{
	if (call->count == NVML_CALL_WORDS_MAX)
		abort();
	call->words[call->count++] = word;
}

static void bytes_add(struct nvml_call *call, size_t bytes, uint32_t first_word)
{
	nvml_call_word_add(call, first_word);
	for (size_t at = 8; at < bytes; at += 8)
		nvml_call_word_add(call, 0);
}

void nvml_call_make(struct nvml_call *call, const struct nvml_function *function)
{
	uint32_t present = 0;

	*call = (struct nvml_call){.count = 1};
	for (unsigned i = 0; i < function->parameter_count; i++) {
		const struct nvml_parameter *parameter = &function->parameters[i];

		present |= 1u << i;
		switch (parameter->role) {
		case NVML_ROLE_DEVICE:
			nvml_call_word_add(call, 0);
			break;
		case NVML_ROLE_IN:
			nvml_call_word_add(call, parameter->maximum);
			break;
		case NVML_ROLE_SIZE:
		case NVML_ROLE_COUNT:
			nvml_call_word_add(call, NVML_CALL_ELEMENTS);
			break;
		case NVML_ROLE_VERSIONED:
			bytes_add(call, parameter->versions[0] & 0xffffff, parameter->versions[0]);
			break;
		case NVML_ROLE_VALUES:
			bytes_add(call, (size_t)NVML_CALL_ELEMENTS * parameter->bytes, 0);
			break;
		default:
			break;
		}
	}
	call->words[0] = function->number | (uint64_t)present << 32;
}
