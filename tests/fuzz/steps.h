/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the fuzzers of conversations read their input: a byte of flags, then steps, one after the other, each a struct
 * step and its bytes. What flags and steps are, is the target's to say.
 */
#ifndef TEST_FUZZ_STEPS_H
#define TEST_FUZZ_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define STEPS_FLAGS_BYTES 1

struct step {
	uint8_t kind;
	uint8_t value;
	uint16_t bytes; /* that follow; of the last step, as many as there are */
};

struct steps {
	const uint8_t *data;
	size_t bytes;
};

/* False: there are no more. *ret_data is the input's. */
static inline bool steps_next(struct steps *steps, struct step *ret_step, const uint8_t **ret_data)
{
	if (steps->bytes < sizeof(*ret_step))
		return false;
	memcpy(ret_step, steps->data, sizeof(*ret_step));
	steps->data += sizeof(*ret_step);
	steps->bytes -= sizeof(*ret_step);
	if (ret_step->bytes > steps->bytes)
		ret_step->bytes = (uint16_t)steps->bytes;
	*ret_data = steps->data;
	steps->data += ret_step->bytes;
	steps->bytes -= ret_step->bytes;
	return true;
}

#endif
