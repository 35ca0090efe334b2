/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed memory as programs use it that keep to the rules of devices without concurrent access, which hold on every
 * device: the processor touches it only when the device has been waited for. Run by
 * tests/worker/test_worker_managed.py, with any libcuda.so.1. Arguments: 'sparse' touches little of much memory;
 * 'unprivileged' is another user's.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "increment.h"
#include "managed_mirrored.h"
#include "stream_calls.h"

CUresult cuStreamAttachMemAsync(CUstream stream, CUdeviceptr address, size_t bytes, unsigned int flags);

#define BLOCK_WORDS 256u
#define THREADS	    4
#define SPARSE	    (64ull << 20)
#define LARGE	    (24u << 20)
#define PIPE_BYTES  (48u << 10)

static int setup(void **state)
{
	(void)state;
	return increment_load();
}

uint32_t *mirrored_allocate(size_t bytes)
{
	CUdeviceptr address;

	WORKS(cuMemAllocManaged(&address, bytes, CU_MEM_ATTACH_GLOBAL));
	return (uint32_t *)(uintptr_t)address;
}

void mirrored_release(const uint32_t *words)
{
	WORKS(cuMemFree_v2((uintptr_t)words));
}

void mirrored_launch(const uint32_t *words, uint32_t count, CUstream stream)
{
	CUdeviceptr to = (uintptr_t)words;
	void *parameters[] = {&to};

	WORKS(cuLaunchKernel(increment, count / BLOCK_WORDS, 1, 1, BLOCK_WORDS, 1, 1, 0, stream, parameters, NULL));
}

void words_fill(uint32_t *words, uint32_t count, uint32_t first)
{
	for (uint32_t i = 0; i < count; i++)
		words[i] = first + i;
}

void words_check(const uint32_t *words, uint32_t count, uint32_t first)
{
	for (uint32_t i = 0; i < count; i++) {
		if (words[i] != first + i)
			fail_msg("word %u is %u, not %u", i, words[i], first + i);
	}
}

/* Some words are written after a kernel without having been read, others are only read. */
static void test_turns(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES);

	(void)state;
	words_fill(words, WORDS, 7);
	for (uint32_t turn = 1; turn <= 3; turn++) {
		mirrored_launch(words, WORDS, NULL);
		WORKS(cuCtxSynchronize());
		for (uint32_t i = 0; i < WORDS; i += 5000)
			words[i] = i + 7 + turn;
		assert_int_equal(words[WORDS - 1], WORDS - 1 + 7 + turn);
	}
	words_check(words, WORDS, 10);
	mirrored_release(words);
}

/* What nobody has written is zero. */
static void test_zero(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES), *other = mirrored_allocate(12);

	(void)state;
	assert_int_equal(words[WORDS / 2], 0);
	words[1] = 41;
	other[2] = 5;
	mirrored_launch(words, WORDS, NULL);
	WORKS(cuCtxSynchronize());
	assert_int_equal(words[0], 1);
	assert_int_equal(words[1], 42);
	assert_int_equal(words[WORDS / 2], 1);
	assert_int_equal(words[WORDS - 1], 1);
	assert_int_equal(other[2], 5);
	mirrored_release(other);
	mirrored_release(words);
}

struct walk {
	pthread_t thread;
	uint32_t *words;
	uint32_t number;
	uint32_t first;
	bool wrong;
};

/* Each thread has every fourth word: those of all are in each page. */
static void *walk_run(void *argument)
{
	struct walk *walk = argument;
	uint32_t at = walk->number * 7919u;

	for (uint32_t i = 0; i < WORDS / THREADS; i++) {
		uint32_t index;

		at = (at + 48271u) % (WORDS / THREADS);
		index = at * THREADS + walk->number;
		walk->wrong = walk->wrong || walk->words[index] != walk->first + index;
		if (i % 3)
			walk->words[index] = walk->first + index;
	}
	return NULL;
}

static void test_threads(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES);
	struct walk walks[THREADS];

	(void)state;
	words_fill(words, WORDS, 0);
	for (uint32_t turn = 1; turn <= 3; turn++) {
		mirrored_launch(words, WORDS, NULL);
		WORKS(cuCtxSynchronize());
		for (uint32_t i = 0; i < THREADS; i++) {
			walks[i] = (struct walk){.words = words, .number = i, .first = turn};
			assert_int_equal(pthread_create(&walks[i].thread, NULL, walk_run, &walks[i]), 0);
		}
		for (uint32_t i = 0; i < THREADS; i++) {
			pthread_join(walks[i].thread, NULL);
			assert_false(walks[i].wrong);
		}
	}
	words_check(words, WORDS, 3);
	mirrored_release(words);
}

/* Each with memory and a stream of its own, at the same time. */
static void *worker_run(void *argument)
{
	struct walk *walk = argument;
	CUstream stream;

	walk->wrong = cuCtxSetCurrent(context) || cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
	for (uint32_t turn = 0; turn < 20 && !walk->wrong; turn++) {
		uint32_t *words = walk->words, index = turn * 3001u % WORDS;

		words[index] = turn;
		mirrored_launch(words, WORDS, stream);
		walk->wrong = cuStreamSynchronize(stream) || words[index] != turn + 1;
	}
	return NULL;
}

static void test_workers(void **state)
{
	struct walk walks[THREADS];

	(void)state;
	for (uint32_t i = 0; i < THREADS; i++) {
		walks[i] = (struct walk){.words = mirrored_allocate(BYTES)};
		assert_int_equal(pthread_create(&walks[i].thread, NULL, worker_run, &walks[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(walks[i].thread, NULL);
		assert_false(walks[i].wrong);
		mirrored_release(walks[i].words);
	}
}

/* The kernel reads the memory, and writes it, in the program's stead. */
static void test_system_calls(void **state)
{
	char *bytes = (char *)mirrored_allocate(BYTES), plain[PIPE_BYTES];
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	WORKS(cuMemsetD32_v2((uintptr_t)bytes, 0x61616161, WORDS));
	WORKS(cuCtxSynchronize());
	assert_int_equal(write(ends[1], bytes + 5, PIPE_BYTES), PIPE_BYTES);
	assert_int_equal(read(ends[0], plain, PIPE_BYTES), PIPE_BYTES);
	assert_int_equal(plain[PIPE_BYTES - 1], 'a');
	memset(plain, 'b', sizeof(plain));
	/* Into what is not here, across what is. */
	assert_int_equal(bytes[BYTES / 2], 'a');
	assert_int_equal(write(ends[1], plain, PIPE_BYTES), PIPE_BYTES);
	assert_int_equal(read(ends[0], bytes + BYTES / 2 - 100, PIPE_BYTES), PIPE_BYTES);
	WORKS(cuMemcpyDtoH_v2(plain, (uintptr_t)bytes + BYTES / 2 - 101, 3));
	assert_memory_equal(plain, "abb", 3);
	close(ends[0]);
	close(ends[1]);
	mirrored_release((uint32_t *)bytes);
}

/* A part of a block is the copy's, the rest the program's. */
static void test_parts(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES), *other = mirrored_allocate(BYTES);
	CUdeviceptr at = (uintptr_t)words;
	CUDA_MEMCPY2D rows = {
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcPitch = 8,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstPitch = 4096,
		.WidthInBytes = 8,
		.Height = 4,
	};
	const uint64_t values[] = {1, 2, 3, 4};

	(void)state;
	words_fill(words, WORDS, 0);
	WORKS(cuMemsetD32_v2(at + 400, 9, 10));
	words[99] = 99000;
	WORKS(cuMemcpyHtoD_v2(at + 40000, values, sizeof(values)));
	words[9999] = 9999000;
	assert_int_equal(words[100], 9);
	assert_int_equal(words[110], 110);
	assert_int_equal(words[10000], 1);
	rows.srcHost = values;
	rows.dstDevice = at + 200000;
	WORKS(cuMemcpy2D_v2(&rows));
	assert_int_equal(words[50000 + 3072], 4);
	assert_int_equal(words[50000 + 3074], 50000 + 3074);
	WORKS(cuMemcpy((uintptr_t)other, at, BYTES));
	assert_int_equal(other[99], 99000);
	assert_int_equal(other[9999], 9999000);
	assert_int_equal(other[100], 9);
	assert_int_equal(other[WORDS - 1], WORDS - 1);
	/* The parameter itself lies in such memory. */
	*(CUdeviceptr *)words = (uintptr_t)other;
	WORKS(cuLaunchKernel(increment, WORDS / BLOCK_WORDS, 1, 1, BLOCK_WORDS, 1, 1, 0, NULL, (void *[]){words},
			     NULL));
	WORKS(cuCtxSynchronize());
	assert_int_equal(other[100], 10);
	mirrored_release(words);
	mirrored_release(other);
}

static void test_prefetch(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES);
	CUdeviceptr at = (uintptr_t)words;

	(void)state;
	words_fill(words, WORDS, 3);
	WORKS(cuMemPrefetchAsync(at, BYTES, 0, NULL));
	words[2] = 5;
	mirrored_launch(words, WORDS, NULL);
	WORKS(cuMemPrefetchAsync(at, BYTES, CU_DEVICE_CPU, NULL));
	WORKS(cuCtxSynchronize());
	words_check(words, WORDS, 4);
	mirrored_release(words);
}

static void function_run(void *data)
{
	uint32_t *words = data;

	for (uint32_t i = 0; i < WORDS; i += 999)
		words[i] *= 2;
}

/* Between two kernels in a stream, which are issued before it runs. */
static void test_host_function(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES);
	CUstream stream;

	(void)state;
	WORKS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	words_fill(words, WORDS, 10);
	mirrored_launch(words, WORDS, stream);
	WORKS(cuLaunchHostFunc(stream, function_run, words));
	mirrored_launch(words, WORDS, stream);
	WORKS(cuStreamSynchronize(stream));
	for (uint32_t i = 0; i < WORDS; i++)
		assert_int_equal(words[i], i % 999 ? i + 12 : (i + 11) * 2 + 1);
	WORKS(cuStreamDestroy_v2(stream));
	mirrored_release(words);
}

static void function_run_late(void *data)
{
	usleep(LATE_US);
	function_run(data);
}

/* Calls that wait for the device, and other memory, while the function is still to touch its own. */
static void test_host_function_late(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES), *other = mirrored_allocate(BYTES);
	CUdeviceptr device;
	CUstream stream;

	(void)state;
	WORKS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	WORKS(cuMemAlloc_v2(&device, BYTES));
	words_fill(words, WORDS, 10);
	words_fill(other, WORDS, 20);
	mirrored_launch(words, WORDS, stream);
	mirrored_launch(other, WORDS, NULL);
	WORKS(cuStreamSynchronize(NULL));
	WORKS(cuLaunchHostFunc(stream, function_run_late, words));
	mirrored_launch(words, WORDS, stream);
	other[5] = 1;
	WORKS(cuMemcpy(device, (uintptr_t)other, BYTES));
	WORKS(cuMemFree_v2(device));
	WORKS(cuStreamSynchronize(stream));
	assert_int_equal(words[0], 23);
	assert_int_equal(words[1], 13);
	assert_int_equal(other[5], 1);
	assert_int_equal(other[6], 27);
	WORKS(cuStreamDestroy_v2(stream));
	mirrored_release(words);
	mirrored_release(other);
}

static void test_graph(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES);
	CUgraphExec exec;
	CUgraph graph;
	CUstream stream;

	(void)state;
	WORKS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	words_fill(words, WORDS, 0);
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	mirrored_launch(words, WORDS, stream);
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	for (uint32_t turn = 1; turn <= 3; turn++) {
		words[turn] = turn + turn - 1;
		WORKS(cuGraphLaunch(exec, stream));
		WORKS(cuStreamSynchronize(stream));
		assert_int_equal(words[turn], turn + turn);
		assert_int_equal(words[WORDS - turn], WORDS - turn + turn);
	}
	words_check(words, WORDS, 3);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuStreamDestroy_v2(stream));
	mirrored_release(words);
}

/* While another stream is at work, which ends only when the test has looked at its memory. */
static void test_attached(void **state)
{
	uint32_t *words = mirrored_allocate(BYTES), *host = mirrored_allocate(BYTES);
	CUstream streams[2], third;
	CUdeviceptr word;

	(void)state;
	for (int i = 0; i < 2; i++)
		WORKS(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
	WORKS(cuStreamCreate(&third, CU_STREAM_NON_BLOCKING));
	WORKS(cuMemAlloc_v2(&word, 4));
	WORKS(cuMemsetD32_v2(word, 0, 1));
	mirrored_launch(host, WORDS, NULL);
	WORKS(cuStreamAttachMemAsync(streams[0], (uintptr_t)words, 0, CU_MEM_ATTACH_SINGLE));
	WORKS(cuStreamAttachMemAsync(streams[0], (uintptr_t)host, 0, CU_MEM_ATTACH_HOST));
	WORKS(cuCtxSynchronize());
	words_fill(words, WORDS, 1);
	WORKS(cuStreamWaitValue32_v2(streams[1], word, 1, CU_STREAM_WAIT_VALUE_EQ));
	mirrored_launch(words, WORDS, streams[0]);
	WORKS(cuStreamSynchronize(streams[0]));
	words_check(words, WORDS, 2);
	assert_int_equal(host[WORDS - 1], 1);
	assert_int_equal(cuStreamQuery(streams[1]), CUDA_ERROR_NOT_READY);
	WORKS(cuStreamWriteValue32_v2(third, word, 1, 0));
	WORKS(cuCtxSynchronize());
	WORKS(cuStreamAttachMemAsync(NULL, (uintptr_t)host, 0, CU_MEM_ATTACH_GLOBAL));
	host[0] = 8;
	mirrored_launch(host, WORDS, NULL);
	WORKS(cuCtxSynchronize());
	assert_int_equal(host[0], 9);
	assert_int_equal(host[1], 2);
	for (int i = 0; i < 2; i++)
		WORKS(cuStreamDestroy_v2(streams[i]));
	WORKS(cuStreamDestroy_v2(third));
	WORKS(cuMemFree_v2(word));
	mirrored_release(words);
	mirrored_release(host);
}

static bool is_shared(void)
{
	int concurrent;

	WORKS(cuDeviceGetAttribute(&concurrent, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 0));
	return concurrent;
}

/* The child has what was here. Where the memory is shared it is its parent's, and NVIDIA's driver lets it have none. */
static void test_fork(void **state)
{
	uint32_t *words;
	int status;
	pid_t child;

	(void)state;
	if (is_shared())
		skip();
	words = mirrored_allocate(BYTES);
	words_fill(words, WORDS, 5);
	mirrored_launch(words, WORDS, NULL);
	WORKS(cuCtxSynchronize());
	assert_int_equal(words[3], 9);
	child = fork();
	if (child == 0) {
		volatile uint32_t *seen = words;
		bool right = seen[3] == 9;

		seen[3] = 1;
		(void)seen[WORDS - 1];
		_exit(right && cuMemFree_v2((uintptr_t)words) == CUDA_ERROR_NOT_INITIALIZED ? 0 : 1);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	words_check(words, WORDS, 6);
	mirrored_launch(words, WORDS, NULL);
	WORKS(cuCtxSynchronize());
	words_check(words, WORDS, 7);
	mirrored_release(words);
}

/* Its end takes the memory with it. */
static void test_context(void **state)
{
	CUcontext other;
	uint32_t *words;
	unsigned int is_managed;

	(void)state;
	WORKS(cuCtxCreate_v2(&other, 0, 0));
	words = mirrored_allocate(BYTES);
	words_fill(words, WORDS, 0);
	WORKS(cuMemPrefetchAsync((uintptr_t)words, BYTES, 0, NULL));
	assert_int_equal(words[5], 5);
	WORKS(cuCtxDestroy_v2(other));
	WORKS(cuCtxSetCurrent(context));
	/* Memory that is shared stays (docs/limitations.md). */
	if (!is_shared())
		assert_int_equal(cuPointerGetAttribute(&is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, (uintptr_t)words),
				 CUDA_ERROR_INVALID_VALUE);
	/* Others are none the wiser. */
	test_turns(state);
}

/* More than the channel has room for at a time, and touches that follow each other. */
static void test_large(void **state)
{
	uint32_t *words = mirrored_allocate(LARGE);

	(void)state;
	words_fill(words, LARGE / 4, 1);
	mirrored_launch(words, LARGE / 4, NULL);
	WORKS(cuCtxSynchronize());
	words_check(words, LARGE / 4, 2);
	words[LARGE / 4 - 1] = 0;
	WORKS(cuMemcpy((uintptr_t)words, (uintptr_t)words + LARGE / 2, LARGE / 2));
	assert_int_equal(words[0], 2 + LARGE / 8);
	assert_int_equal(words[LARGE / 8 - 1], 0);
	mirrored_release(words);
}

/* Many in a page, or next to each other. */
static void test_small(void **state)
{
	uint32_t *words[200];

	(void)state;
	for (uint32_t i = 0; i < 200; i++) {
		words[i] = mirrored_allocate(BLOCK_WORDS * 4);
		words[i][1] = i;
	}
	for (uint32_t i = 0; i < 200; i += 2)
		mirrored_launch(words[i], BLOCK_WORDS, NULL);
	WORKS(cuCtxSynchronize());
	for (uint32_t i = 0; i < 200; i++) {
		assert_int_equal(words[i][1], i + !(i % 2));
		mirrored_release(words[i]);
	}
}

/* Three words of it, and no more than their surroundings move. */
static int sparse(void)
{
	CUdeviceptr address;
	uint32_t *words;

	if (setup(NULL) || cuMemAllocManaged(&address, SPARSE, CU_MEM_ATTACH_GLOBAL))
		return 1;
	words = (uint32_t *)(uintptr_t)address;
	words[0] = 1;
	words[SPARSE / 8] = 2;
	mirrored_launch(words, SPARSE / 4, NULL);
	return cuCtxSynchronize() || words[0] != 2 || words[SPARSE / 8] != 3 || words[SPARSE / 4 - 1] != 1 ||
	       cuMemFree_v2(address);
}

/* Of which the worker goes: the test says when, and nothing is read then that was not brought. */
static int lost(void)
{
	uint32_t *words;
	CUdeviceptr address;
	char end;

	if (setup(NULL) || cuMemAllocManaged(&address, BYTES, CU_MEM_ATTACH_GLOBAL))
		return 1;
	words = (uint32_t *)(uintptr_t)address;
	words[0] = 1;
	mirrored_launch(words, WORDS, NULL);
	if (cuCtxSynchronize() || words[0] != 2 || puts("ready") < 0 || fflush(stdout) || read(0, &end, 1) < 0)
		return 1;
	/* Still here; the next is not. */
	return words[0] != 2 || words[WORDS - 1] != 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),	       cmocka_unit_test(test_zero),
		cmocka_unit_test(test_threads),	       cmocka_unit_test(test_workers),
		cmocka_unit_test(test_parts),	       cmocka_unit_test(test_prefetch),
		cmocka_unit_test(test_graph),	       cmocka_unit_test(test_attached),
		cmocka_unit_test(test_host_function),  cmocka_unit_test(test_host_function_late),
		cmocka_unit_test(test_fork),	       cmocka_unit_test(test_context),
		cmocka_unit_test(test_small),	       cmocka_unit_test(test_large),
		cmocka_unit_test(test_held_touch),     cmocka_unit_test(test_function_meanwhile),
		cmocka_unit_test(test_held_copies),    cmocka_unit_test(test_waited_for),
		cmocka_unit_test(test_prefetch_other), cmocka_unit_test(test_image),
	};
	const struct CMUnitTest system_calls[] = {cmocka_unit_test(test_system_calls)};
	int failed;

	if (argc > 1 && !strcmp(argv[1], "sparse"))
		return sparse();
	if (argc > 1 && !strcmp(argv[1], "lost"))
		return lost();
	if (argc > 1 && !strcmp(argv[1], "unprivileged")) {
		if (setup(NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			return 1;
		failed = cmocka_run_group_tests(tests, NULL, NULL);
	} else {
		failed = cmocka_run_group_tests(tests, setup, NULL);
	}
	return failed ? failed : cmocka_run_group_tests(system_calls, NULL, NULL);
}
