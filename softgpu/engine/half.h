/* SPDX-License-Identifier: Apache-2.0 */
/* f16 and bf16 to and from wider types, rounding once, to nearest even. */
#ifndef SOFTGPU_HALF_H
#define SOFTGPU_HALF_H

#include <stdint.h>
#include <stdbool.h>

double half_to_double(uint16_t bits);
uint16_t half_from_double(double value);
double bfloat_to_double(uint16_t bits);
uint16_t bfloat_from_double(double value);

enum half_rounding {
	HALF_NEAREST,
	HALF_ZERO,
	HALF_DOWN,
	HALF_UP,
};

/* Any binary format of at most 16 bits: exponent and fraction bits, IEEE special values. */
uint16_t narrow_from_double(double value, unsigned exponent_bits, unsigned fraction_bits, enum half_rounding rounding);

#endif
