/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole numbers in the options of a program that parses them with argp.
 */
#ifndef MEDIATOR_NUMBER_OPTION_H
#define MEDIATOR_NUMBER_OPTION_H

#include <argp.h>
#include <inttypes.h>

#include "number.h"

/* The value of an option, or of an argument that is called so; another text ends the program with argp's exit code. */
static inline uint32_t number_option_take(const struct argp_state *state, const char *option, const char *text,
					  uint32_t least, uint32_t most)
{
	uint64_t number = least;

	if (!number_parse(text, 10, least, most, &number))
		argp_error(state, "%s: \"%s\" is no number from %" PRIu32 " to %" PRIu32, option, text, least, most);
	return (uint32_t)number;
}

#endif
