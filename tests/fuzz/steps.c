/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How inputs of steps are made of others, beside libFuzzer's own ways, which seldom leave what is around a number as it
 * was: numbers within one step become a little more or less than they are, than a power of two or than another of them.
 */
#include "steps.h"

#define NUMBER_BYTES_MIN 4u
#define CHANGE_MAX	 32

size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t bytes_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t bytes_max, unsigned seed);

static unsigned next(unsigned *random)
{
	*random = *random * 1103515245u + 12345u;
	return *random >> 16;
}

/* The bytes of the step of that number among those that have a number; how many there are, if it is too high. */
static size_t step_find(uint8_t *data, size_t bytes, size_t number, uint8_t **ret_data, size_t *ret_bytes)
{
	struct steps steps = {.data = data + STEPS_FLAGS_BYTES, .bytes = bytes - STEPS_FLAGS_BYTES};
	const uint8_t *in_step;
	struct step step;
	size_t count = 0;

	while (steps_next(&steps, &step, &in_step)) {
		if (step.bytes < NUMBER_BYTES_MIN || count++ != number)
			continue;
		*ret_data = data + (in_step - data);
		*ret_bytes = step.bytes;
	}
	return count;
}

static void number_change(uint8_t *data, size_t bytes, unsigned random)
{
	size_t width = bytes >= 8 && next(&random) % 2 ? 8 : 4;
	size_t at = next(&random) % (bytes / 4 - width / 4 + 1) * 4;
	size_t from = next(&random) % (bytes / 4 - width / 4 + 1) * 4;
	uint64_t number = 0;

	memcpy(&number, data + at, width);
	switch (next(&random) % 4) {
	case 0:
		number = 1ull << next(&random) % (width * 8);
		break;
	case 1:
		number = 0;
		memcpy(&number, data + from, width);
		break;
	default:
		break;
	}
	number += next(&random) % (2 * CHANGE_MAX + 1);
	number -= CHANGE_MAX;
	memcpy(data + at, &number, width);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t bytes_max, unsigned seed)
{
	unsigned random = seed;
	uint8_t *in_step;
	size_t step_bytes;
	size_t count = bytes > STEPS_FLAGS_BYTES ? step_find(data, bytes, SIZE_MAX, &in_step, &step_bytes) : 0;

	if (!count || next(&random) % 2)
		return LLVMFuzzerMutate(data, bytes, bytes_max);
	step_find(data, bytes, next(&random) % count, &in_step, &step_bytes);
	number_change(in_step, step_bytes, random);
	return bytes;
}
