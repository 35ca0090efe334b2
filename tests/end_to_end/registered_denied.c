/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that a program registers where the system does not let it be moved: with "traced" under a debugger, with
 * "helpers" where no process can be made once one has forked, else where mremap(2) is denied. Run by test_memory.py.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registered_bytes.h"

/* From now on the system call fails with that error. */
static bool call_deny(unsigned int number, unsigned int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Where memory cannot be moved it is copied: it is the program's alone again. */
static void test_moves_are_denied(void **state)
{
	uint8_t *bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t child;
	int status = -1;

	(void)state;
	assert_true(bytes != MAP_FAILED);
	bytes_set(bytes, BYTES, 4);
	WORKS(cuMemHostRegister_v2(bytes, BYTES, 0));
	(void)device_pointer(bytes);
	assert_true(call_deny(SYS_mremap, ENOMEM));
	child = fork();
	if (child == 0) {
		bytes_set(bytes, BYTES, 8);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	bytes_expect(bytes, BYTES, 4);
	WORKS(cuMemHostUnregister(bytes));
	bytes_expect(bytes, BYTES, 4);
	/* A child that is made without the C library has its own too. */
	child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		memset(bytes, 9, BYTES);
		syscall(SYS_exit_group, 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	bytes_expect(bytes, BYTES, 4);
	/* What cannot be moved there is staged. */
	WORKS(cuMemHostRegister_v2(bytes, BYTES, 0));
	copies_work(bytes, BYTES);
	WORKS(cuMemHostUnregister(bytes));
	munmap(bytes, BYTES);
}

static bool denies_helpers;

/* In the parent, once the child is there; as where that is the last process that the user may have. */
static void helpers_deny(void)
{
	if (denies_helpers && !call_deny(SYS_clone, EAGAIN))
		abort();
	denies_helpers = false;
}

/* What was private during the fork is the device's again, on the stack and on the heap. */
static void test_helpers_are_denied(void **state)
{
	uint32_t on_stack[256], *on_heap = malloc(sizeof(on_stack));
	volatile uint32_t *words[] = {on_stack, on_heap};
	int status = -1;
	pid_t child;

	(void)state;
	assert_non_null(on_heap);
	for (size_t i = 0; i < 2; i++) {
		for (uint32_t word = 0; word < 256; word++)
			words[i][word] = word;
		WORKS(cuMemHostRegister_v2((void *)words[i], sizeof(on_stack), 0));
	}
	denies_helpers = true;
	child = fork();
	if (child == 0) {
		memset((void *)words[0], 9, sizeof(on_stack));
		memset((void *)words[1], 9, sizeof(on_stack));
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (size_t i = 0; i < 2; i++) {
		kernel_run(device_pointer((void *)words[i]), 256);
		for (uint32_t word = 0; word < 256; word++)
			assert_int_equal(words[i][word], word + 1);
	}
}

/* A debugger is there, so the threads cannot be made to stand still: it is only noted. */
static void test_traced(void **state)
{
	uint8_t *bytes = malloc(BYTES);
	CUdeviceptr device;

	(void)state;
	assert_non_null(bytes);
	bytes_set(bytes, BYTES, 4);
	for (int i = 0; i < 20; i++) {
		WORKS(cuMemHostRegister_v2(bytes, BYTES, 0));
		assert_int_not_equal(cuMemHostGetDevicePointer_v2(&device, bytes, 0), CUDA_SUCCESS);
		copies_work(bytes, BYTES);
		WORKS(cuMemHostUnregister(bytes));
	}
	free(bytes);
}

/* Runs the rest of the program in a child, as its debugger; how that ended. */
static int debug(void)
{
	int status = 0, ends[2];
	char byte = 0;
	pid_t child;

	if (pipe(ends) || (child = fork()) < 0)
		return 1;
	if (child == 0)
		return read(ends[0], &byte, 1) == 1 ? -1 : 1;
	if (ptrace(PTRACE_SEIZE, child, NULL, NULL) || write(ends[1], &byte, 1) != 1)
		return 1;
	while (waitpid(child, &status, __WALL) == child && WIFSTOPPED(status))
		ptrace(PTRACE_CONT, child, NULL, (void *)(uintptr_t)(status >> 16 ? 0 : WSTOPSIG(status)));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int count, char **arguments)
{
	const struct CMUnitTest denied[] = {cmocka_unit_test(test_moves_are_denied)};
	const struct CMUnitTest helpers[] = {cmocka_unit_test(test_helpers_are_denied)};
	const struct CMUnitTest traced[] = {cmocka_unit_test(test_traced)};
	int result;

	/* Before the library has handlers of its own. */
	if (pthread_atfork(NULL, helpers_deny, NULL))
		return 1;
	if (count > 1 && strcmp(arguments[1], "helpers") == 0)
		return cmocka_run_group_tests(helpers, setup, NULL);
	if (count < 2 || strcmp(arguments[1], "traced") != 0)
		return cmocka_run_group_tests(denied, setup, NULL);
	result = debug();
	return result < 0 ? cmocka_run_group_tests(traced, setup, NULL) : result;
}
