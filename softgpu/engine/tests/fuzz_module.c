/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer: any bytes as a module, and every kernel of what loads is run for a
 * moment.  Whatever happens must be an error or a fault that the engine reports.
 */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static _Atomic bool cancel;

/* Ends kernels that would run for ever. */
static void *clock_main(void *user)
{
	const struct timespec moment = {.tv_nsec = 20 * 1000 * 1000};

	(void)user;
	for (;;) {
		nanosleep(&moment, NULL);
		atomic_store(&cancel, true);
	}
	return NULL;
}

static void kernels_run(struct harness *harness, const struct engine_module *module, uint64_t data)
{
	const struct engine_function *function;

	for (size_t i = 0; i < 4 && (function = engine_module_function_at(module, i)); i++) {
		struct engine_function_info info;
		uint64_t parameters[4096];
		struct engine_result result;

		engine_function_get_info(function, &info);
		if (info.static_shared_bytes > 48 * 1024 || info.local_bytes > 16 * 1024)
			continue;
		for (size_t p = 0; p < sizeof(parameters) / sizeof(*parameters); p++)
			parameters[p] = data;
		struct engine_launch launch = {
			.function = function,
			.grid = {2, 1, 1},
			.block = {40, 1, 1},
			.dynamic_shared_bytes = 64,
			.parameters = parameters,
			.parameter_bytes = info.parameter_bytes,
			.cancel = &cancel,
		};

		atomic_store(&cancel, false);
		engine_launch(harness->engine, &launch, &result);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
	static struct harness *harness;
	static uint64_t data, start;
	struct engine_ptx ptx = {.text = (const char *)input, .bytes = bytes};
	struct engine_module *module = NULL;
	pthread_t thread;

	if (!harness) {
		harness = harness_create(1);
		data = harness_allocate(harness, 65536);
		start = harness->next;
		if (pthread_create(&thread, NULL, clock_main, NULL) != 0)
			abort();
	}
	/* The harness never frees: take everything back at once. */
	harness->next = start;
	if (engine_module_load(harness->engine, &ptx, 1, harness->log, sizeof(harness->log), &module) == ENGINE_OK) {
		kernels_run(harness, module, data);
		engine_module_unload(module);
	}
	return 0;
}
