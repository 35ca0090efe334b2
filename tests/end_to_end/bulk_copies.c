/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulk_copies [ROUNDS [THREADS]]: threads that each copy pieces of all sizes to their own memory of the device and
 * other pieces back, and compare every byte with what should be there. Bytes say where and when they were written.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

enum { MEMORY_BYTES = 24 << 20, SIZES = 4, THREADS_MAX = 8 };

static const size_t sizes_most[SIZES] = {16 << 10, 200 << 10, 3 << 20, MEMORY_BYTES};

static struct driver driver;
static CUcontext context;
static unsigned rounds = 24;

struct worker {
	pthread_t thread;
	uint64_t seed;
	unsigned char *expected, *back;
	int status;
};

static uint64_t next(uint64_t *seed)
{
	uint64_t value = *seed += 0x9e3779b97f4a7c15u;

	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 27) * 0x94d049bb133111ebu;
	return value ^ value >> 31;
}

static void place_choose(uint64_t *seed, size_t *ret_offset, size_t *ret_bytes)
{
	*ret_bytes = 1 + next(seed) % sizes_most[next(seed) % SIZES];
	*ret_offset = next(seed) % (MEMORY_BYTES - *ret_bytes + 1);
}

static CUresult round_run(struct worker *worker, CUdeviceptr memory)
{
	size_t offset, bytes, word = 0;
	CUresult result;

	place_choose(&worker->seed, &offset, &bytes);
	for (; word + sizeof(uint64_t) <= bytes; word += sizeof(uint64_t)) {
		uint64_t value = next(&worker->seed);

		memcpy(worker->expected + offset + word, &value, sizeof(value));
	}
	memset(worker->expected + offset + word, (int)worker->seed, bytes - word);
	result = driver.copy_to_device(memory + offset, worker->expected + offset, bytes);
	if (result)
		return result;
	place_choose(&worker->seed, &offset, &bytes);
	memset(worker->back, 0xee, bytes);
	result = driver.copy_to_host(worker->back, memory + offset, bytes);
	if (!result && memcmp(worker->back, worker->expected + offset, bytes) != 0) {
		printf("%zu bytes at %zu differ\n", bytes, offset);
		worker->status = 3;
	}
	return result;
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;
	CUdeviceptr memory = 0;
	CUresult result;

	worker->expected = calloc(1, MEMORY_BYTES);
	worker->back = malloc(MEMORY_BYTES);
	if (!worker->expected || !worker->back) {
		worker->status = 2;
		return NULL;
	}
	result = driver.set_current(context);
	if (!result)
		result = driver.memory_allocate(&memory, MEMORY_BYTES);
	if (!result)
		result = driver.copy_to_device(memory, worker->expected, MEMORY_BYTES);
	for (unsigned round = 0; round < rounds && !result && !worker->status; round++)
		result = round_run(worker, memory);
	if (result) {
		printf("%s\n", driver_error_name(&driver, result));
		worker->status = 1;
	}
	free(worker->expected);
	free(worker->back);
	return NULL;
}

int main(int count, char **arguments)
{
	static struct worker workers[THREADS_MAX];
	const char *problem = driver_open("libcuda.so.1", &driver);
	unsigned threads = count > 2 ? (unsigned)atoi(arguments[2]) : 2;
	int status = 0;

	if (count > 1)
		rounds = (unsigned)atoi(arguments[1]);
	if (problem || threads > THREADS_MAX || driver.init(0) || driver.primary_retain(&context, 0)) {
		printf("%s\n", problem ? problem : "cannot begin");
		return 2;
	}
	for (unsigned i = 0; i < threads; i++) {
		workers[i].seed = i + 1;
		if (pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]))
			return 2;
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].status)
			status = workers[i].status;
	}
	if (!status)
		printf("all copies are right\n");
	return status;
}
