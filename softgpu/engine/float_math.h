/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOFTGPU_FLOAT_MATH_H
#define SOFTGPU_FLOAT_MATH_H

/* In ins->op of scalar_math32, scalar_math64 and scalar_half_math. */
enum math_function {
	MATH_ABS,
	MATH_NEG,
	MATH_RCP,
	MATH_RSQRT,
	MATH_SIN,
	MATH_COS,
	MATH_LG2,
	MATH_EX2,
	MATH_TANH,
};

/* In ins->op of scalar_testp. */
enum float_test {
	TEST_FINITE,
	TEST_INFINITE,
	TEST_NUMBER,
	TEST_NAN,
	TEST_NORMAL,
	TEST_SUBNORMAL,
};

#endif
