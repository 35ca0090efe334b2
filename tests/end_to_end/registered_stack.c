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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registered_stack.h"

CUresult cuCtxSetCurrent(CUcontext context);

#define BLOCK_WORDS  256u
#define GROWTH_BYTES (3u << 20)

static bool in_machine;

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

/* Where the mappings begin that lie side by side up to the address. */
static uintptr_t lowest_beside(uintptr_t address)
{
	FILE *file = fopen("/proc/self/maps", "r");
	char line[5000];
	uintptr_t start, end, lowest = 0, last = 0;

	while (file && fgets(line, sizeof(line), file) && sscanf(line, "%lx-%lx", &start, &end) == 2) {
		lowest = start == last ? lowest : start;
		last = end;
		if (address < end)
			break;
	}
	if (file)
		fclose(file);
	return lowest;
}

static void *lowest_page_use(void *argument)
{
	void *lowest = (void *)lowest_beside((uintptr_t)argument);
	CUdeviceptr device;

	if (!lowest || cuCtxSetCurrent(context) || cuMemHostRegister_v2(lowest, 64, 0))
		return NULL;
	if (cuMemHostGetDevicePointer_v2(&device, lowest, 0) == CUDA_SUCCESS)
		return NULL;
	return cuMemHostUnregister(lowest) ? NULL : argument;
}

/* The page below which the first thread's stack grows is staged, and the stack goes on growing. */
static void test_lowest_page(void **state)
{
	volatile uint8_t here = 0;
	void *result = NULL;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, lowest_page_use, (void *)&here), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_non_null(result);
	assert_int_equal(depths_use(GROWTH_BYTES + (1u << 20)), 0);
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
		usleep(50);
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
		cmocka_unit_test(test_lowest_page),
		cmocka_unit_test(test_first_thread),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_forks_of_first_thread),
		cmocka_unit_test(test_other_threads),
		cmocka_unit_test(test_forks_of_other_threads),
		cmocka_unit_test(test_ended_thread),
		cmocka_unit_test(test_stack_of_another),
		cmocka_unit_test(test_disturbed),
		cmocka_unit_test(test_alternate_stack),
		cmocka_unit_test(test_forks_under_a_debugger),
	};
	in_machine = count > 1 && strcmp(arguments[1], "machine") == 0;
	/* Before the library has handlers of its own. */
	if (pthread_atfork(NULL, NULL, child_uses_stack))
		return 1;
	return cmocka_run_group_tests(tests, begin, NULL);
}
