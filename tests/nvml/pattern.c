/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern.h"

uint64_t pattern_value(const struct nvml_function *function, unsigned index)
{
	const struct nvml_parameter *parameter = &function->parameters[index];
	uint64_t value = function->number * 1000u + index;

	if (parameter->maximum)
		return parameter->maximum;
	return parameter->bytes == 8 ? value << 33 | value : value;
}

static unsigned char pattern_byte(const struct nvml_function *function, unsigned index, unsigned device, bool is_back,
				  size_t at)
{
	return (unsigned char)(function->number * 131u + index * 17u + device * 59u + at * 7u + (is_back ? 101 : 0));
}

void pattern_fill(const struct nvml_function *function, unsigned index, unsigned device, bool is_back, void *place,
		  size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((unsigned char *)place)[i] = pattern_byte(function, index, device, is_back, i);
}

bool pattern_matches(const struct nvml_function *function, unsigned index, unsigned device, bool is_back,
		     const void *place, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (((const unsigned char *)place)[i] != pattern_byte(function, index, device, is_back, i))
			return false;
	}
	return true;
}
