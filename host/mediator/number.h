/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole numbers that people and files write. Any thread.
 */
#ifndef MEDIATOR_NUMBER_H
#define MEDIATOR_NUMBER_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* False: the text is not digits of that base alone, or no number from least to most. */
static inline bool number_parse(const char *text, int base, uint64_t least, uint64_t most, uint64_t *ret_number)
{
	unsigned long long number;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, base);
	if (errno || *end || number < least || number > most)
		return false;
	*ret_number = number;
	return true;
}

#endif
