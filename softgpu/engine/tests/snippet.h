/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a few instructions on all pairs of edge values and compares every lane
 * with a reference in C.  The snippet reads %a, %b, %c (64 bits), %a32, ... or
 * %a16, ... and leaves its result in %d, %d32 or %d16; %p, %q, %t, %u, %t32,
 * %u32 are free.  It runs twice: with all lanes, and with some switched off,
 * which must keep the %d that they had.
 */
#ifndef SOFTGPU_TESTS_SNIPPET_H
#define SOFTGPU_TESTS_SNIPPET_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t (*snippet_reference)(uint64_t a, uint64_t b, uint64_t c);

/* Does one result match?  'expected' and 'got' are cut to the snippet's bits. */
typedef int (*snippet_match)(uint64_t expected, uint64_t got);

/* 'bits': 16, 32 or 64, which of %d16, %d32, %d the snippet writes.  Fails the cmocka test on a difference. */
void snippet_check(const char *code, unsigned bits, const uint64_t *values, size_t count, snippet_reference reference,
		   snippet_match match);

int snippet_equal(uint64_t expected, uint64_t got);
int snippet_equal_f32(uint64_t expected, uint64_t got); /* any NaN equals any NaN */
int snippet_equal_f64(uint64_t expected, uint64_t got);
int snippet_near_f32(uint64_t expected, uint64_t got); /* within 4 units of the last place, or of 2^-22 */

extern const uint64_t snippet_integers[], snippet_floats[], snippet_doubles[], snippet_halves[];
extern const size_t snippet_integer_count, snippet_float_count, snippet_double_count, snippet_half_count;

float snippet_float(uint64_t bits);
uint64_t snippet_float_bits(float value);
double snippet_double(uint64_t bits);
uint64_t snippet_double_bits(double value);

#endif
