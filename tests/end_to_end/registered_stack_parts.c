/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registered_stack.h"

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);

#define LARGE_WORDS (16u * PAGE / 4)

/* Uses so much of the stack below, and looks whether it holds what is written there. */
__attribute__((noinline)) uint32_t depths_use(uint32_t bytes)
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

void words_fill(volatile uint32_t *words, uint32_t count, uint32_t value)
{
	for (uint32_t i = 0; i < count; i++)
		words[i] = i + value;
}

void words_look(const volatile uint32_t *words, uint32_t count, uint32_t value)
{
	for (uint32_t i = 0; i < count; i++)
		if (words[i] != i + value)
			fail_msg("word %u is %u, not %u", i, words[i], i + value);
}

/* Each sees what the other wrote, in a single variable and in several pages. */
__attribute__((noinline)) void variable_use(void)
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

__attribute__((noinline)) void array_use(void)
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
__attribute__((noinline)) void *left_behind(void)
{
	volatile uint32_t words[4 * PAGE / 4];
	void *volatile start = (void *)words;

	words_fill(words, 4 * PAGE / 4, 0);
	WORKS(cuMemHostRegister_v2((void *)words, sizeof(words), 0));
	kernel_run(device_pointer((void *)words), 4 * PAGE / 4);
	words_look(words, 4 * PAGE / 4, 1);
	return start;
}

void later_frames_use(void)
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
void child_uses_stack(void)
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

bool is_traced_at_forks;

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

void forks_use(void)
{
	for (uint32_t turn = 0; turn < 12; turn++)
		fork_among(turn, turn % 2 ? 1024 : 24u << 10, turn % 3 == 2);
}

void depths_fork(void)
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
