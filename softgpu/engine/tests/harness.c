/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const uint64_t arena_bytes = (uint64_t)1 << 30;

static uint64_t arena_allocate(void *user, size_t bytes, size_t alignment)
{
	struct harness *harness = user;
	uint64_t page = 4096, address;

	(void)alignment;
	/* An unmapped page lies between allocations. */
	address = (harness->next + page - 1) & ~(page - 1);
	bytes = (bytes + page - 1) & ~(size_t)(page - 1);
	if (address + bytes + page > harness->memory.arena_base + arena_bytes)
		return 0;
	if (mprotect((void *)(uintptr_t)address, bytes, PROT_READ | PROT_WRITE) != 0)
		return 0;
	harness->next = address + bytes + page;
	return address;
}

static void arena_release(void *user, uint64_t address)
{
	(void)user;
	(void)address;
}

static bool host_range_contains(void *user, uint64_t address, size_t bytes)
{
	const struct harness *harness = user;

	return address >= harness->host_base && bytes <= harness->host_bytes &&
	       address - harness->host_base <= harness->host_bytes - bytes;
}

static void print(void *user, const char *text, size_t bytes)
{
	struct harness *harness = user;
	size_t room = sizeof(harness->printed) - 1 - harness->printed_bytes;

	if (bytes > room)
		bytes = room;
	memcpy(harness->printed + harness->printed_bytes, text, bytes);
	harness->printed_bytes += bytes;
	harness->printed[harness->printed_bytes] = '\0';
}

struct harness *harness_create(unsigned worker_count)
{
	struct harness *harness = calloc(1, sizeof(*harness));
	void *arena = mmap(NULL, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (!harness || arena == MAP_FAILED)
		abort();
	harness->memory = (struct engine_memory){
		.arena_base = (uint64_t)(uintptr_t)arena,
		.arena_bytes = arena_bytes,
		.allocate = arena_allocate,
		.release = arena_release,
		.host_range_contains = host_range_contains,
		.user = harness,
	};
	harness->next = harness->memory.arena_base + 4096;
	struct engine_config config = {
		.memory = harness->memory,
		.worker_count = worker_count,
		.print = print,
		.print_user = harness,
	};

	if (engine_create(&config, &harness->engine) != ENGINE_OK)
		abort();
	return harness;
}

void harness_destroy(struct harness *harness)
{
	engine_destroy(harness->engine);
	munmap((void *)(uintptr_t)harness->memory.arena_base, arena_bytes);
	free(harness);
}

uint64_t harness_allocate(struct harness *harness, size_t bytes)
{
	uint64_t address = arena_allocate(harness, bytes, 256);

	if (!address)
		abort();
	return address;
}

struct engine_module *harness_load(struct harness *harness, const char *text, enum engine_status *ret_status)
{
	struct engine_ptx ptx = {.text = text, .bytes = strlen(text)};
	struct engine_module *module = NULL;

	*ret_status = engine_module_load(harness->engine, &ptx, 1, harness->log, sizeof(harness->log), &module);
	return module;
}

struct engine_result harness_launch(struct harness *harness, const struct engine_module *module, const char *name,
				    uint32_t blocks, uint32_t threads, uint32_t shared, const void *parameters,
				    size_t parameter_bytes)
{
	struct engine_launch launch = {
		.function = engine_module_find_function(module, name),
		.grid = {blocks, 1, 1},
		.block = {threads, 1, 1},
		.dynamic_shared_bytes = shared,
		.parameters = parameters,
		.parameter_bytes = parameter_bytes,
	};
	struct engine_result result = {.fault = ENGINE_FAULT_ILLEGAL_INSTRUCTION};

	if (launch.function)
		engine_launch(harness->engine, &launch, &result);
	else
		fprintf(stderr, "no kernel %s\n", name);
	return result;
}

char *harness_read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *text = NULL;
	long bytes;

	if (!file)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (bytes = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0 &&
	    (text = calloc(1, (size_t)bytes + 1)) && fread(text, 1, (size_t)bytes, file) != (size_t)bytes) {
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}
