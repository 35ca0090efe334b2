/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole kernels in a test: the text of a kernel "k" with parameters "out" and
 * "in" (addresses) and "n", run once; out and in are arrays of 32 bits.
 */
#ifndef SOFTGPU_TESTS_PROGRAM_H
#define SOFTGPU_TESTS_PROGRAM_H

#include "harness.h"

enum {
	PROGRAM_WORDS = 4096,
};

struct program {
	struct harness *harness;
	struct engine_module *module;
	uint32_t *out, *in;
	struct engine_result result;
};

/* 'body' stands between the declarations and "ret;", 'outside' before the kernel.  Fails the test if it does not load.
 */
void program_load(struct program *program, const char *outside, const char *body, unsigned workers);
void program_run(struct program *program, uint32_t blocks, uint32_t threads, uint32_t shared, uint32_t n);
void program_end(struct program *program);

#endif
