/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every program here shares: one line of verdict and the exit status that
 * goes with it.  PASS 0, FAIL 1, SKIP 77 (the device says, by its own error or
 * attribute, that it does not do this).
 */
#ifndef TESTS_PROGRAMS_PROGRAM_H
#define TESTS_PROGRAMS_PROGRAM_H

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include <cuda_runtime.h>

/* Each program names itself. */
extern const char *const program_name;

[[noreturn]] static inline void finish(const char *verdict, int status, const char *format, va_list arguments)
{
	printf("%s %s", verdict, program_name);
	if (format != nullptr) {
		printf(": ");
		vprintf(format, arguments);
	}
	printf("\n");
	fflush(stdout);
	exit(status);
}

[[noreturn]] static inline void fail(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	finish("FAIL", 1, format, arguments);
}

[[noreturn]] static inline void skip(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	finish("SKIP", 77, format, arguments);
}

[[noreturn]] static inline void pass(void)
{
	printf("PASS %s\n", program_name);
	fflush(stdout);
	exit(0);
}

static inline void check(cudaError_t error, const char *call, int line)
{
	if (error != cudaSuccess)
		fail("line %d: %s: %s (%d)", line, call, cudaGetErrorName(error), (int)error);
}

static inline void expect(cudaError_t error, cudaError_t expected, const char *call, int line)
{
	if (error != expected)
		fail("line %d: %s: %s, expected %s", line, call, cudaGetErrorName(error), cudaGetErrorName(expected));
}

#define CHECK(call)	       check((call), #call, __LINE__)
#define EXPECT(call, expected) expect((call), (expected), #call, __LINE__)

#endif
