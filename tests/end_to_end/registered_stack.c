/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory on stacks that a program registers: the device sees it, and the stacks go on as if nothing happened. With any
 * libcuda.so.1. Run by test_memory.py; with the argument "machine" in a virtual machine, where a page with a thread's
 * control block is not moved.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registered_calls.h"

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuCtxSetCurrent(CUcontext context);

#define BLOCK_WORDS  256u
#define LARGE_WORDS  (16u * PAGE / 4)
#define MOVES	     40
#define GROWTH_BYTES (3u << 20)

static bool in_machine;

/* Uses so much of the stack below, and looks whether it holds what is written there. */
static __attribute__((noinline)) uint32_t depths_use(uint32_t bytes)
{
	volatile uint8_t room[1024];
	uint32_t wrong = 0;

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = (uint8_t)(bytes + i);
	if (bytes > sizeof(room))
		wrong = depths_use(bytes - (uint32_t)sizeof(room));
	for (size_t i = 0; i < sizeof(room); i++)
		wrong += room[i] != (uint8_t)(bytes + i);
	return wrong;
}

static void words_fill(volatile uint32_t *words, uint32_t count, uint32_t value)
{
	for (uint32_t i = 0; i < count; i++)
		words[i] = i + value;
}

static void words_look(const volatile uint32_t *words, uint32_t count, uint32_t value)
{
	for (uint32_t i = 0; i < count; i++)
		if (words[i] != i + value)
			fail_msg("word %u is %u, not %u", i, words[i], i + value);
}

/* Each sees what the other wrote, in a single variable and in several pages. */
static __attribute__((noinline)) void variable_use(void)
{
	volatile uint32_t before = 0x1111, pair[2] = {0}, behind = 0x2222;
	CUdeviceptr device;

	for (uint32_t turn = 0; turn < MOVES; turn++) {
		WORKS(cuMemHostRegister_v2((void *)pair, sizeof(pair), CU_MEMHOSTREGISTER_DEVICEMAP));
		device = device_pointer((void *)pair);
		pair[0] = turn + 5;
		WORKS(cuMemcpyDtoDAsync_v2(device + 4, device, 4, NULL));
		WORKS(cuCtxSynchronize());
		assert_int_equal(pair[1], turn + 5);
		WORKS(cuMemHostUnregister((void *)pair));
		assert_int_equal(pair[0], turn + 5);
		assert_int_equal(pair[1], turn + 5);
		assert_int_equal(before, 0x1111);
		assert_int_equal(behind, 0x2222);
	}
}

static __attribute__((noinline)) void array_use(void)
{
	volatile uint32_t words[LARGE_WORDS];

	words_fill(words, LARGE_WORDS, 0);
	for (uint32_t turn = 0; turn < 4; turn++) {
		WORKS(cuMemHostRegister_v2((void *)words, sizeof(words), 0));
		kernel_run(device_pointer((void *)words), LARGE_WORDS);
		words_look(words, LARGE_WORDS, 1);
		words_fill(words, LARGE_WORDS, 7);
		kernel_run(device_pointer((void *)words), LARGE_WORDS);
		words_look(words, LARGE_WORDS, 8);
		assert_int_equal(depths_use(256u << 10), 0);
		words_look(words, LARGE_WORDS, 8);
		WORKS(cuMemHostUnregister((void *)words));
		words_look(words, LARGE_WORDS, 8);
		words_fill(words, LARGE_WORDS, 0);
	}
}

/* It stays registered when its function has returned, and other frames have the pages. */
static __attribute__((noinline)) void *left_behind(void)
{
	volatile uint32_t words[4 * PAGE / 4];
	void *volatile start = (void *)words;

	words_fill(words, 4 * PAGE / 4, 0);
	WORKS(cuMemHostRegister_v2((void *)words, sizeof(words), 0));
	kernel_run(device_pointer((void *)words), 4 * PAGE / 4);
	words_look(words, 4 * PAGE / 4, 1);
	return start;
}

static void later_frames_use(void)
{
	void *start = left_behind();

	assert_int_equal(depths_use(128u << 10), 0);
	WORKS(cuMemHostUnregister(start));
	assert_int_equal(depths_use(128u << 10), 0);
}

struct copy {
	volatile uint32_t *words; /* on the stack, registered */
	bool is_armed;
};

static struct copy forking;

/* As another library's handler would, before this one's. */
static void child_uses_stack(void)
{
	if (!forking.is_armed)
		return;
	forking.words[3] = 7777;
	if (depths_use(16u << 10))
		_exit(3);
}

static __attribute__((noinline)) pid_t deep_fork(uint32_t bytes)
{
	volatile uint8_t room[1024];
	pid_t child;

	memset((void *)room, (int)bytes, sizeof(room));
	child = bytes > sizeof(room) ? deep_fork(bytes - (uint32_t)sizeof(room)) : fork();
	for (size_t i = 0; i < sizeof(room); i++)
		if (room[i] != (uint8_t)bytes)
			_exit(4);
	/* Neither sees this in the other's frames, which hold the same. */
	memset((void *)room, child ? 1 : 2, sizeof(room));
	return child;
}

static bool is_traced_at_forks;

/* As a debugger that comes now: the threads cannot be stopped while it is there. 0: it may not. */
static pid_t debugger_start(void)
{
	int ends[2], status = 0;
	char byte = 0;
	pid_t debugger;

	assert_int_equal(pipe(ends), 0);
	debugger = fork();
	assert_true(debugger >= 0);
	if (debugger == 0) {
		pid_t program = getppid();

		byte = ptrace(PTRACE_SEIZE, program, NULL, NULL) == 0 ? 'y' : 'n';
		if (write(ends[1], &byte, 1) != 1)
			_exit(1);
		while (waitpid(program, &status, __WALL) == program && WIFSTOPPED(status))
			ptrace(PTRACE_CONT, program, NULL, (void *)(uintptr_t)(status >> 16 ? 0 : WSTOPSIG(status)));
		_exit(0);
	}
	(void)!read(ends[0], &byte, 1);
	close(ends[0]);
	close(ends[1]);
	if (byte == 'y')
		return debugger;
	waitpid(debugger, &status, 0);
	return 0;
}

static void debugger_end(pid_t debugger)
{
	if (!debugger)
		return;
	kill(debugger, SIGKILL);
	waitpid(debugger, NULL, 0);
}

static void child_goes_on(volatile uint32_t *words, uint32_t count, uint32_t turn, int from)
{
	char byte;
	bool is_right = words[3] == 7777 && words[4] == turn + 4;

	words_fill(words, count, 99);
	/* When the parent has written its own. */
	is_right = is_right && read(from, &byte, 1) == 1;
	for (uint32_t i = 0; i < count; i++)
		is_right = is_right && words[i] == i + 99;
	_exit(is_right && depths_use(64u << 10) == 0 ? 0 : 1);
}

/* The pages that fork() itself runs on, too, if it is called in frames below the words. */
static __attribute__((noinline)) void fork_among(uint32_t turn, uint32_t deep, bool is_ended)
{
	volatile uint32_t words[LARGE_WORDS];
	void *volatile start = (void *)words;
	int ends[2], status = -1;
	pid_t child, debugger;

	assert_int_equal(pipe(ends), 0);
	words_fill(words, LARGE_WORDS, turn);
	if (is_ended)
		start = left_behind();
	else
		WORKS(cuMemHostRegister_v2(start, sizeof(words), 0));
	debugger = is_traced_at_forks ? debugger_start() : 0;
	forking = (struct copy){.words = words, .is_armed = true};
	child = deep_fork(deep);
	forking.is_armed = false;
	if (child == 0)
		child_goes_on(words, LARGE_WORDS, turn, ends[0]);
	assert_true(child > 0);
	debugger_end(debugger);
	words_look(words, LARGE_WORDS, turn);
	words_fill(words, LARGE_WORDS, turn + 1);
	assert_int_equal(write(ends[1], "x", 1), 1);
	/* Still the device's, and the parent's. */
	if (!is_ended) {
		kernel_run(device_pointer((void *)words), LARGE_WORDS);
		words_look(words, LARGE_WORDS, turn + 2);
	}
	assert_int_equal(depths_use(64u << 10), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	words_look(words, LARGE_WORDS, turn + (is_ended ? 1 : 2));
	close(ends[0]);
	close(ends[1]);
	WORKS(cuMemHostUnregister(start));
	words_look(words, LARGE_WORDS, turn + (is_ended ? 1 : 2));
}

static void forks_use(void)
{
	for (uint32_t turn = 0; turn < 12; turn++)
		fork_among(turn, turn % 2 ? 1024 : 24u << 10, turn % 3 == 2);
}

static void test_first_thread(void **state)
{
	(void)state;
	variable_use();
	array_use();
	later_frames_use();
}

/* Below a moved page the stack still grows. */
static void test_growth(void **state)
{
	volatile uint32_t words[BLOCK_WORDS];

	(void)state;
	words_fill(words, BLOCK_WORDS, 0);
	WORKS(cuMemHostRegister_v2((void *)words, sizeof(words), 0));
	assert_int_equal(depths_use(GROWTH_BYTES), 0);
	kernel_run(device_pointer((void *)words), BLOCK_WORDS);
	words_look(words, BLOCK_WORDS, 1);
	WORKS(cuMemHostUnregister((void *)words));
	assert_int_equal(depths_use(2 * GROWTH_BYTES), 0);
	words_look(words, BLOCK_WORDS, 1);
}

static void test_forks_of_first_thread(void **state)
{
	(void)state;
	forks_use();
}

static void test_forks_under_a_debugger(void **state)
{
	(void)state;
	/* Without Yama there is nothing to allow. */
	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	is_traced_at_forks = true;
	forks_use();
	is_traced_at_forks = false;
	(void)prctl(PR_SET_PTRACER, 0, 0, 0, 0);
}

/* So that no page of what comes has the thread's control block. */
static __attribute__((noinline)) void deeper(void (*use)(void))
{
	volatile uint8_t room[4 * PAGE];

	room[0] = room[sizeof(room) - 1] = 3;
	use();
	assert_true(room[0] == 3 && room[sizeof(room) - 1] == 3);
}

static void *thread_use(void *argument)
{
	void (*use)(void) = *(void (**)(void))argument;

	if (cuCtxSetCurrent(context))
		return NULL;
	if (in_machine)
		deeper(use);
	else
		use();
	return argument;
}

static void in_thread(void (*use)(void))
{
	void *result = NULL;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, thread_use, &use), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_non_null(result);
}

static void test_other_threads(void **state)
{
	(void)state;
	in_thread(variable_use);
	in_thread(array_use);
	in_thread(later_frames_use);
}

static void test_forks_of_other_threads(void **state)
{
	(void)state;
	in_thread(forks_use);
}

static void *left_start;

static void leave(void)
{
	left_start = left_behind();
}

static void depths_fork(void)
{
	for (uint32_t depth = 1024; depth < 64u << 10; depth *= 2) {
		pid_t child = deep_fork(depth);
		int status = -1;

		if (child == 0)
			_exit(depths_use(64u << 10) != 0);
		assert_int_equal(depths_use(64u << 10), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

/* A thread that has ended leaves its stack to the next, and a page of it registered. */
static void test_ended_thread(void **state)
{
	(void)state;
	for (int turn = 0; turn < 3; turn++) {
		in_thread(leave);
		for (int i = 0; i < 8; i++)
			in_thread(depths_fork);
		assert_non_null(left_start);
		WORKS(cuMemHostUnregister(left_start));
		in_thread(depths_fork);
	}
}

struct waiter {
	pthread_t thread;
	volatile uint32_t *words;
	int from[2];
	int to[2];
};

static void *wait_on_stack(void *argument)
{
	struct waiter *waiter = argument;
	volatile uint32_t words[4 * PAGE / 4];
	char byte = 0;
	bool is_right;

	words_fill(words, 4 * PAGE / 4, 1);
	waiter->words = words;
	is_right = write(waiter->to[1], "x", 1) == 1 && read(waiter->from[0], &byte, 1) == 1 && byte == 'y';
	for (uint32_t i = 0; i < 4 * PAGE / 4; i++)
		is_right = is_right && words[i] == i + 2;
	return is_right ? argument : NULL;
}

/* Which waits meanwhile in frames of the same pages. */
static void test_stack_of_another(void **state)
{
	struct waiter waiter = {0};
	void *result = NULL;
	int status = -1;
	char byte = 0;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(waiter.from), 0);
	assert_int_equal(pipe(waiter.to), 0);
	assert_int_equal(pthread_create(&waiter.thread, NULL, wait_on_stack, &waiter), 0);
	assert_int_equal(read(waiter.to[0], &byte, 1), 1);
	/* The last page may be the control block's. */
	WORKS(cuMemHostRegister_v2((void *)waiter.words, 2 * PAGE, 0));
	WORKS(cuMemHostRegister_v2((void *)(waiter.words + 3 * PAGE / 4), 256, 0));
	kernel_run(device_pointer((void *)waiter.words), 2 * PAGE / 4);
	for (uint32_t i = 2 * PAGE / 4; i < 4 * PAGE / 4; i++)
		waiter.words[i]++;
	child = fork();
	if (child == 0) {
		words_fill(waiter.words, 4 * PAGE / 4, 55);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	WORKS(cuMemHostUnregister((void *)(waiter.words + 3 * PAGE / 4)));
	assert_int_equal(write(waiter.from[1], "y", 1), 1);
	pthread_join(waiter.thread, &result);
	assert_non_null(result);
	WORKS(cuMemHostUnregister((void *)waiter.words));
}

static volatile uint32_t signals_seen, signals_wrong;

static void signal_note(int signal)
{
	(void)signal;
	signals_wrong += depths_use(8192) != 0;
	signals_seen++;
}

struct disturber {
	pthread_t thread;
	pthread_t target;
	volatile uint32_t *word;
	bool ends;
	uint32_t lost;
	uint32_t sent;
};

static void *disturb(void *argument)
{
	struct disturber *disturber = argument;
	uint32_t value = 0;

	*disturber->word = value;
	while (!__atomic_load_n(&disturber->ends, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 1000; i++) {
			disturber->lost += *disturber->word != value;
			*disturber->word = ++value;
		}
		disturber->sent += pthread_kill(disturber->target, SIGRTMIN) == 0;
		/* The C library sends each thread a signal for it, which it does not let block (nptl(7)). */
		disturber->lost += setresgid((gid_t)-1, (gid_t)-1, (gid_t)-1) != 0;
	}
	return NULL;
}

/* Another thread writes the same page meanwhile, and this one gets signals. */
static void test_disturbed(void **state)
{
	const struct sigaction action = {.sa_handler = signal_note, .sa_flags = SA_RESTART};
	volatile uint32_t words[BLOCK_WORDS], foreign = 0;
	struct disturber disturber = {.target = pthread_self(), .word = &foreign};

	(void)state;
	words_fill(words, BLOCK_WORDS, 0);
	sigaction(SIGRTMIN, &action, NULL);
	assert_int_equal(pthread_create(&disturber.thread, NULL, disturb, &disturber), 0);
	for (uint32_t turn = 0; turn < 4 * MOVES; turn++) {
		WORKS(cuMemHostRegister_v2((void *)words, sizeof(words), 0));
		words_look(words, BLOCK_WORDS, turn);
		words_fill(words, BLOCK_WORDS, turn + 1);
		WORKS(cuMemHostUnregister((void *)words));
		words_look(words, BLOCK_WORDS, turn + 1);
	}
	__atomic_store_n(&disturber.ends, true, __ATOMIC_RELAXED);
	pthread_join(disturber.thread, NULL);
	assert_int_equal(disturber.lost, 0);
	assert_int_equal(signals_seen, disturber.sent);
	assert_int_equal(signals_wrong, 0);
}

static void (*volatile use_in_handler)(void);

static void handle_on_stack(int signal)
{
	(void)signal;
	use_in_handler();
}

/* A handler's, on a stack of its own, which is a part of the heap. */
static void test_alternate_stack(void **state)
{
	static void (*const uses[])(void) = {variable_use, array_use, forks_use};
	const struct sigaction action = {.sa_handler = handle_on_stack, .sa_flags = SA_ONSTACK};
	stack_t stack = {.ss_sp = malloc(1u << 20), .ss_size = 1u << 20}, before;

	(void)state;
	assert_non_null(stack.ss_sp);
	assert_int_equal(sigaltstack(&stack, &before), 0);
	sigaction(SIGUSR1, &action, NULL);
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		use_in_handler = uses[i];
		raise(SIGUSR1);
	}
	assert_int_equal(sigaltstack(&before, NULL), 0);
	free(stack.ss_sp);
}

static int begin(void **state)
{
	return setup(state) ? 1 : 0;
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_thread),	       cmocka_unit_test(test_growth),
		cmocka_unit_test(test_forks_of_first_thread),  cmocka_unit_test(test_other_threads),
		cmocka_unit_test(test_forks_of_other_threads), cmocka_unit_test(test_ended_thread),
		cmocka_unit_test(test_stack_of_another),       cmocka_unit_test(test_disturbed),
		cmocka_unit_test(test_alternate_stack),	       cmocka_unit_test(test_forks_under_a_debugger),
	};
	in_machine = count > 1 && strcmp(arguments[1], "machine") == 0;
	/* Before the library has handlers of its own. */
	if (pthread_atfork(NULL, NULL, child_uses_stack))
		return 1;
	return cmocka_run_group_tests(tests, begin, NULL);
}
