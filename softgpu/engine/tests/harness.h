/* SPDX-License-Identifier: Apache-2.0 */
/* An engine with an arena, for tests and benchmarks: what softgpu/driver is to it otherwise. */
#ifndef SOFTGPU_TESTS_HARNESS_H
#define SOFTGPU_TESTS_HARNESS_H

#include "engine.h"

struct harness {
	struct engine *engine;
	struct engine_memory memory;
	uint64_t next;
	char log[512];
	char printed[65536];
	size_t printed_bytes;
	uint64_t host_base, host_bytes; /* what host_range_contains() admits */
};

struct harness *harness_create(unsigned worker_count);
void harness_destroy(struct harness *harness);

uint64_t harness_allocate(struct harness *harness, size_t bytes); /* ends the test when there is none */

/* NULL on failure, which harness->log explains. */
struct engine_module *harness_load(struct harness *harness, const char *text, enum engine_status *ret_status);

struct engine_result harness_launch(struct harness *harness, const struct engine_module *module, const char *name,
				    uint32_t blocks, uint32_t threads, uint32_t shared, const void *parameters,
				    size_t parameter_bytes);

char *harness_read_file(const char *path); /* the caller frees it; NULL on failure */

#endif
