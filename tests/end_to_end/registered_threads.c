/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other threads, and the child of a fork, see and write while memory of the program's own is registered and is
 * so no longer: as if nothing happened. With any libcuda.so.1. Run by test_memory.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registered_calls.h"

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);

#define WRITERS 6
#define MOVES	60

struct writer {
	pthread_t thread;
	volatile uint32_t *word;
	int from; /* of a pipe: then it is read into the word */
	bool *ends;
	uint64_t lost;
	uint64_t writes;
};

static void *write_always(void *argument)
{
	struct writer *writer = argument;
	uint32_t value = 0;

	*writer->word = value;
	while (!__atomic_load_n(writer->ends, __ATOMIC_RELAXED)) {
		writer->lost += *writer->word != value;
		*writer->word = ++value;
		writer->writes++;
	}
	writer->lost += *writer->word != value;
	return NULL;
}

/* By the kernel: a system call that writes there must neither fail nor be lost. */
static void *read_always(void *argument)
{
	struct writer *writer = argument;
	int ends[2];
	uint32_t value = 0;

	if (pipe(ends))
		return NULL;
	while (!__atomic_load_n(writer->ends, __ATOMIC_RELAXED)) {
		value++;
		writer->lost += write(ends[1], &value, sizeof(value)) != sizeof(value) ||
				read(ends[0], (void *)(uintptr_t)writer->word, sizeof(value)) != sizeof(value) ||
				*writer->word != value;
		writer->writes++;
	}
	close(ends[0]);
	close(ends[1]);
	return NULL;
}

/* The range has the pages in the middle, the writers are before, in and behind it. */
static void test_others_write(void **state)
{
	uint8_t *pages = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static const size_t places[WRITERS] = {PAGE - 4, PAGE, 2 * PAGE, 2 * PAGE + 512, 3 * PAGE - 4, 4 * PAGE - 4};
	struct writer writers[WRITERS];
	bool ends = false;

	(void)state;
	assert_true(pages != MAP_FAILED);
	for (size_t i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.word = (uint32_t *)(void *)(pages + places[i]), .ends = &ends};
		assert_int_equal(
			pthread_create(&writers[i].thread, NULL, i % 2 ? read_always : write_always, &writers[i]), 0);
	}
	for (int i = 0; i < MOVES; i++) {
		WORKS(cuMemHostRegister_v2(pages + PAGE, 2 * PAGE, 0));
		(void)device_pointer(pages + PAGE);
		usleep(1000);
		WORKS(cuMemHostUnregister(pages + PAGE));
	}
	__atomic_store_n(&ends, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		if (writers[i].lost || !writers[i].writes)
			fail_msg("writer %zu: %llu of %llu writes were lost", i, (unsigned long long)writers[i].lost,
				 (unsigned long long)writers[i].writes);
	}
	munmap(pages, 4 * PAGE);
}

static void *end_at_once(void *argument)
{
	return argument;
}

static void *make_threads(void *argument)
{
	const bool *ends = argument;
	pthread_t thread;

	while (!__atomic_load_n(ends, __ATOMIC_RELAXED))
		if (pthread_create(&thread, NULL, end_at_once, NULL) == 0)
			pthread_join(thread, NULL);
	return NULL;
}

static void test_threads_come_and_go(void **state)
{
	uint32_t *words = block_make(BYTES);
	pthread_t makers[3];
	bool ends = false;

	(void)state;
	assert_non_null(words);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&makers[i], NULL, make_threads, &ends), 0);
	for (uint32_t i = 0; i < 20; i++) {
		words_set(words, i);
		WORKS(cuMemHostRegister_v2(words, BYTES, 0));
		words_expect(words, i);
		WORKS(cuMemHostUnregister(words));
		words_expect(words, i);
	}
	__atomic_store_n(&ends, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < 3; i++)
		pthread_join(makers[i], NULL);
	free(words);
}

static uint32_t signals_seen;

static void signal_note(int signal)
{
	(void)signal;
	__atomic_fetch_add(&signals_seen, 1, __ATOMIC_RELAXED);
}

static void *wait_for_byte(void *argument)
{
	const int *from = argument;
	char byte = 0;

	/* As it is without anybody's signal: it neither fails nor returns early. */
	return (void *)(intptr_t)(read(*from, &byte, 1) == 1 && byte == 'x');
}

struct shooter {
	pthread_t target;
	bool ends;
	uint32_t sent;
};

static void *signals_send(void *argument)
{
	struct shooter *shooter = argument;

	/* Signals of this kind queue up, so each of them arrives. */
	while (!__atomic_load_n(&shooter->ends, __ATOMIC_RELAXED)) {
		shooter->sent += pthread_kill(shooter->target, SIGRTMIN) == 0;
		usleep(50);
	}
	return NULL;
}

/* What the other threads wait for, and the signals that they get, are as if nothing happened. */
static void test_others_wait(void **state)
{
	uint32_t *words = block_make(BYTES);
	const struct sigaction action = {.sa_handler = signal_note, .sa_flags = SA_RESTART};
	struct writer writer = {.word = malloc(4)};
	struct shooter shooter = {0};
	pthread_t reader, shooting;
	bool ends = false;
	void *is_right = NULL;
	int pipe_ends[2];

	(void)state;
	assert_true(words && writer.word);
	assert_int_equal(pipe(pipe_ends), 0);
	sigaction(SIGRTMIN, &action, NULL);
	writer.ends = &ends;
	assert_int_equal(pthread_create(&writer.thread, NULL, write_always, &writer), 0);
	assert_int_equal(pthread_create(&reader, NULL, wait_for_byte, &pipe_ends[0]), 0);
	shooter.target = writer.thread;
	assert_int_equal(pthread_create(&shooting, NULL, signals_send, &shooter), 0);
	for (int i = 0; i < MOVES; i++) {
		WORKS(cuMemHostRegister_v2(words, BYTES, 0));
		WORKS(cuMemHostUnregister(words));
	}
	assert_int_equal(write(pipe_ends[1], "x", 1), 1);
	pthread_join(reader, &is_right);
	assert_non_null(is_right);
	__atomic_store_n(&shooter.ends, true, __ATOMIC_RELAXED);
	pthread_join(shooting, NULL);
	for (int i = 0; i < 3000 && __atomic_load_n(&signals_seen, __ATOMIC_RELAXED) < shooter.sent; i++)
		usleep(10000);
	assert_int_equal(signals_seen, shooter.sent);
	__atomic_store_n(&ends, true, __ATOMIC_RELAXED);
	pthread_join(writer.thread, NULL);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	free((void *)(uintptr_t)writer.word);
	free(words);
}

/* The child has what was there, and neither sees what the other writes. */
static void test_fork(void **state)
{
	uint32_t *words = block_make(BYTES);
	int to_child[2], to_parent[2];
	char byte = 0;
	int status = -1;
	pid_t child;

	(void)state;
	assert_non_null(words);
	words_set(words, 1);
	WORKS(cuMemHostRegister_v2(words, BYTES, 0));
	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(to_parent), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		bool right = read(to_child[0], &byte, 1) == 1;

		for (uint32_t i = 0; i < WORDS; i++) {
			right = right && words[i] == i * 3 + 1;
			words[i] = 77;
		}
		/* Its heap is its own. */
		free(malloc(100));
		right = right && write(to_parent[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) == 1 &&
			words[5] == 77;
		_exit(right ? 0 : 1);
	}
	words_set(words, 2);
	assert_int_equal(write(to_child[1], &byte, 1), 1);
	assert_int_equal(read(to_parent[0], &byte, 1), 1);
	words_expect(words, 2);
	for (uint32_t i = 0; i < WORDS; i++)
		words[i] = i;
	kernel_run(device_pointer(words), WORDS);
	for (uint32_t i = 0; i < WORDS; i++)
		assert_int_equal(words[i], i + 1);
	assert_int_equal(write(to_child[1], &byte, 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (size_t i = 0; i < 2; i++) {
		close(to_child[i]);
		close(to_parent[i]);
	}
	WORKS(cuMemHostUnregister(words));
	free(words);
}

/* What shares the pages of a registered block of the heap. */
static struct {
	uint32_t *block;
	volatile uint32_t *neighbour;
} heap;

/* As libraries do: in the child, before a handler that was set up later. */
static void child_uses_heap(void)
{
	void *blocks[32];

	if (!heap.block)
		return;
	heap.block[0] = 7777;
	*heap.neighbour = 7777;
	for (size_t i = 0; i < 32; i++)
		blocks[i] = malloc(i * 24);
	for (size_t i = 0; i < 32; i++)
		free(blocks[i]);
}

static void heap_child(uint32_t wanted)
{
	bool right = heap.block[1] == wanted && heap.block[0] == 7777 && *heap.neighbour == 7777;

	for (size_t i = 0; i < 256; i++)
		free(malloc(i * 16));
	heap.block[1] = 0;
	_exit(right ? 0 : 1);
}

/* Each process has its heap to itself, with a registered block in it as without, and the device sees the parent's. */
static void test_fork_and_heap(void **state)
{
	enum { BLOCK_WORDS = 256, WRITER_COUNT = 2 };
	struct writer writers[WRITER_COUNT];
	bool ends = false;
	int status = -1;

	(void)state;
	if (getenv("VGPU_SANITIZED"))
		skip();
	heap.block = malloc(BLOCK_WORDS * 4);
	heap.neighbour = malloc(4);
	assert_true(heap.block && heap.neighbour);
	/* In the block, and beside it. */
	writers[0] = (struct writer){.word = &heap.block[BLOCK_WORDS - 1], .ends = &ends};
	writers[1] = (struct writer){.word = malloc(4), .ends = &ends};
	assert_non_null(writers[1].word);
	WORKS(cuMemHostRegister_v2(heap.block, BLOCK_WORDS * 4, 0));
	for (size_t i = 0; i < WRITER_COUNT; i++)
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_always, &writers[i]), 0);
	for (uint32_t turn = 0; turn < 30; turn++) {
		pid_t child;

		heap.block[0] = 5;
		heap.block[1] = turn;
		*heap.neighbour = 6;
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			heap_child(turn);
		for (size_t i = 0; i < 256; i++)
			free(malloc(i * 16));
		assert_true(heap.block[0] == 5 && heap.block[1] == turn && *heap.neighbour == 6);
		/* What the device reads and writes is the parent's. */
		heap.block[2] = turn;
		heap.block[4] = 0;
		WORKS(cuMemcpyDtoDAsync_v2(device_pointer(heap.block) + 16, device_pointer(heap.block) + 8, 4, NULL));
		WORKS(cuCtxSynchronize());
		assert_int_equal(heap.block[4], turn);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	__atomic_store_n(&ends, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < WRITER_COUNT; i++) {
		pthread_join(writers[i].thread, NULL);
		assert_int_equal(writers[i].lost, 0);
	}
	WORKS(cuMemHostUnregister(heap.block));
	assert_true(heap.block[0] == 5 && *heap.neighbour == 6);
	free((void *)(uintptr_t)writers[1].word);
	free((void *)(uintptr_t)heap.neighbour);
	free(heap.block);
	heap.block = NULL;
}

/* Whom the program allowed to trace it, as programs do for their handlers of crashes, may do so afterwards. */
static bool may_be_traced(void)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(ptrace(PTRACE_SEIZE, getppid(), 0, 0) != 0);
	return waitpid(child, &status, 0) == child && status == 0;
}

static void test_tracers(void **state)
{
	uint8_t *bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(bytes != MAP_FAILED);
	/* Without Yama there is nothing to allow. */
	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	if (!may_be_traced())
		skip();
	WORKS(cuMemHostRegister_v2(bytes, BYTES, 0));
	WORKS(cuMemHostUnregister(bytes));
	assert_true(may_be_traced());
	(void)prctl(PR_SET_PTRACER, 0, 0, 0, 0);
	munmap(bytes, BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_others_write),  cmocka_unit_test(test_threads_come_and_go),
		cmocka_unit_test(test_others_wait),   cmocka_unit_test(test_fork),
		cmocka_unit_test(test_fork_and_heap), cmocka_unit_test(test_tracers),
	};

	/* Before the library has handlers of its own. */
	if (pthread_atfork(NULL, NULL, child_uses_heap))
		return 1;

	return cmocka_run_group_tests(tests, setup, NULL);
}
