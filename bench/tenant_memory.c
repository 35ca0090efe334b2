/* SPDX-License-Identifier: Apache-2.0 */
/* What a tenant does with memory: takes it all, says how much there is, fills it and looks for what others left. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "tenant.h"

enum { PIECE_BYTES = 1 << 20, PIECES_AT_ONCE = 64, SECRET_BYTE = 0xa7 };

void memory_hog(const struct options *options)
{
	size_t bytes = (size_t)1 << 34, total = 0;
	CUdeviceptr address;

	while (seconds_now() < options->from)
		pause_for(10000);
	while (bytes >= 1 << 20) {
		CUresult result = driver.memory_allocate(&address, bytes);

		if (result == CUDA_SUCCESS) {
			total += bytes;
			continue;
		}
		if (result != CUDA_ERROR_OUT_OF_MEMORY)
			device_check(result, "cuMemAlloc");
		bytes /= 2;
	}
	printf("{\"result\": 2, \"bytes\": %zu}\n", total);
	fflush(stdout);
	while (seconds_now() < options->to)
		pause_for(10000);
}

typedef CUresult memory_info(size_t *free_bytes, size_t *total_bytes);
typedef CUresult device_total(size_t *bytes, CUdevice device);

void memory_tell(void)
{
	memory_info *info = (memory_info *)dlsym(driver.library, "cuMemGetInfo_v2");
	device_total *total_of = (device_total *)dlsym(driver.library, "cuDeviceTotalMem_v2");
	size_t total, before, with, all;
	CUdeviceptr address;

	CHECK(total_of(&total, 0));
	CHECK(info(&before, &all));
	CHECK(driver.memory_allocate(&address, 8 << 20));
	CHECK(info(&with, &all));
	printf("{\"device\": %zu, \"total\": %zu, \"free\": %zu, \"free_with\": %zu}\n", total, all, before, with);
}

void memory_watch(void)
{
	memory_info *info = (memory_info *)dlsym(driver.library, "cuMemGetInfo_v2");
	size_t unused, all;
	char line[8];

	while (fgets(line, sizeof(line), stdin)) {
		CHECK(info(&unused, &all));
		printf("{\"free\": %zu}\n", unused);
		fflush(stdout);
	}
}

void memory_fill(const struct options *options)
{
	CUdeviceptr address;

	for (unsigned i = 0; i < options->blocks; i++) {
		CHECK(driver.memory_allocate(&address, PIECE_BYTES));
		CHECK(driver.set_bytes(address, SECRET_BYTE, PIECE_BYTES));
	}
	CHECK(driver.synchronize());
	printf("{\"filled\": %u}\n", options->blocks);
	fflush(stdout);
	while (seconds_now() < options->to)
		pause_for(10000);
}

void memory_residue(unsigned mib)
{
	size_t left = mib ? mib : SIZE_MAX, pieces = PIECES_AT_ONCE, looked_at = 0;
	unsigned *memory = malloc((size_t)PIECES_AT_ONCE * PIECE_BYTES);
	unsigned long long words = 0;
	unsigned secret;
	CUdeviceptr address;

	if (!memory)
		exit(1);
	memset(&secret, SECRET_BYTE, sizeof(secret));
	while (left && pieces) {
		size_t taken = pieces < left ? pieces : left;
		CUresult result = driver.memory_allocate(&address, taken * PIECE_BYTES);

		if (result == CUDA_ERROR_OUT_OF_MEMORY && !mib) {
			pieces /= 2;
			continue;
		}
		device_check(result, "cuMemAlloc");
		CHECK(driver.copy_to_host(memory, address, taken * PIECE_BYTES));
		for (size_t i = 0; i < taken * PIECE_BYTES / sizeof(*memory); i++)
			words += memory[i] == secret;
		left -= taken;
		looked_at += taken * PIECE_BYTES;
	}
	printf("{\"words\": %llu, \"bytes\": %zu}\n", words, looked_at);
	free(memory);
}
