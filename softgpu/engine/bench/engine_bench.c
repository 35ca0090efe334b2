/* SPDX-License-Identifier: Apache-2.0 */
/* Prints how many lane-operations per second the engine executes, per core and with all workers. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	THREADS = 256,
	BLOCKS = 64,
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct kernel_parameters {
	uint64_t out;
	uint32_t count;
};

static bool measure(struct harness *harness, const struct engine_module *module, const char *name, uint32_t count,
		    double *ret_rate)
{
	struct kernel_parameters parameters = {
		.out = harness_allocate(harness, (size_t)THREADS * BLOCKS * 4),
		.count = count,
	};
	double start = seconds_now();
	struct engine_result result = harness_launch(harness, module, name, BLOCKS, THREADS, 0, &parameters,
						     sizeof(uint64_t) + sizeof(uint32_t));
	double seconds = seconds_now() - start;

	if (result.fault != ENGINE_FAULT_NONE) {
		fprintf(stderr, "%s: fault %d\n", name, (int)result.fault);
		return false;
	}
	*ret_rate = (double)result.lane_operations / seconds;
	return true;
}

static bool measure_launches(struct harness *harness, const struct engine_module *module)
{
	enum {
		LAUNCHES = 2000,
	};
	struct kernel_parameters parameters = {.out = harness_allocate(harness, THREADS * 4), .count = 1};
	double start = seconds_now();

	for (int i = 0; i < LAUNCHES; i++) {
		struct engine_result result = harness_launch(harness, module, "fma_chain", 1, 32, 0, &parameters,
							     sizeof(uint64_t) + sizeof(uint32_t));

		if (result.fault != ENGINE_FAULT_NONE)
			return false;
	}
	printf("launch of one warp: %.2f us\n", (seconds_now() - start) * 1e6 / LAUNCHES);
	return true;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint32_t count;
	} kernels[] = {{"fma_chain", 20000}, {"integer_mix", 20000}, {"stream", 40000}, {"divergent", 20000}};
	char *text = argc == 2 ? harness_read_file(argv[1]) : NULL;
	bool passed = true;

	if (!text) {
		fprintf(stderr, "usage: engine_bench kernels.ptx\n");
		return 2;
	}
	printf("%-12s %16s %16s\n", "kernel", "1 worker", "all workers");
	for (size_t k = 0; k < sizeof(kernels) / sizeof(*kernels); k++) {
		double rates[2] = {0, 0};

		for (unsigned i = 0; i < 2; i++) {
			struct harness *harness = harness_create(i == 0 ? 1 : 0);
			enum engine_status status;
			struct engine_module *module = harness_load(harness, text, &status);

			if (!module) {
				fprintf(stderr, "%s\n", harness->log);
				harness_destroy(harness);
				free(text);
				return 1;
			}
			passed &= measure(harness, module, kernels[k].name, kernels[k].count, &rates[i]);
			if (k == 0 && i == 0)
				passed &= measure_launches(harness, module);
			engine_module_unload(module);
			harness_destroy(harness);
		}
		printf("%-12s %12.3e /s %12.3e /s\n", kernels[k].name, rates[0], rates[1]);
	}
	free(text);
	return passed ? 0 : 1;
}
