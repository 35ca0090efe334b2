/* SPDX-License-Identifier: Apache-2.0 */
#include "standstill.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lock.h"
#include "system_call.h"

#define THREADS_MAX  4096
#define STOP_MS	     2000
#define SPINS	     64
#define PAUSE_NS     50000
#define HELPER_STACK (64u << 10)
/* More than glibc's has. */
#define CONTROL_BLOCK_BYTES 4096
#define YAMA_SETTING	    "/proc/sys/kernel/yama/ptrace_scope"
#define YAMA_DECLARED	    '1' /* only whom the process has named may trace it */

struct directory_entry { /* getdents64(2) */
	uint64_t inode;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

struct thread {
	pid_t id;
	int signal; /* that it was about to get */
	bool is_stopped;
	bool is_gone;
};

static struct {
	void (*work)(void *argument);
	void *argument;
	pid_t caller;
	int directory; /* of the threads */
	uint32_t begins;
	bool is_done;
	bool is_refused;      /* the helper may not trace the caller */
	bool has_met_caller;  /* the folder is that of this process, with numbers as it has them */
	bool is_beside;	      /* nobody is stopped */
	char caller_name[16]; /* in the folder */
	struct timespec deadline;
	size_t count;
	struct thread threads[THREADS_MAX];
	_Alignas(64) uint8_t stack[HELPER_STACK];
} still;

static long trace(int request, pid_t thread, long data)
{
	return system_call(SYS_ptrace, request, thread, 0, data);
}

static bool is_late(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > still.deadline.tv_sec ||
	       (now.tv_sec == still.deadline.tv_sec && now.tv_nsec > still.deadline.tv_nsec);
}

/* As proc_pid_stat(5) has it; 0: it is gone. */
static char thread_state(const char *name)
{
	char path[32] = {0};
	char text[256] = {0};
	const char *state;
	long file;

	memcpy(path, name, strnlen(name, 16));
	memcpy(path + strlen(path), "/stat", sizeof("/stat"));
	file = system_call(SYS_openat, still.directory, (long)path, O_RDONLY | O_CLOEXEC, 0);
	if (file < 0)
		return 0;
	(void)system_call(SYS_read, file, (long)text, sizeof(text) - 1, 0);
	(void)system_call(SYS_close, file, 0, 0, 0);
	state = strrchr(text, ')'); /* "id (name) state" */
	return state ? state[2] : 0;
}

/* One that has ended but is still listed, as the first thread is where the others go on: it cannot be traced. */
static bool thread_is_dead(const char *name)
{
	char state = thread_state(name);

	return state == 0 || state == 'Z' || state == 'X';
}

static bool thread_is_known(pid_t id)
{
	for (size_t i = 0; i < still.count; i++)
		if (still.threads[i].id == id && !still.threads[i].is_gone)
			return true;
	return false;
}

/* Asks a thread that was not there before to stop. */
static bool thread_meet(const char *name)
{
	pid_t id = (pid_t)strtol(name, NULL, 10);
	long result;

	still.has_met_caller |= id == still.caller;
	if (thread_is_known(id))
		return true;
	if (still.count == THREADS_MAX)
		return false;
	result = id == still.caller ? 0 : trace(PTRACE_SEIZE, id, 0);
	if (result)
		return result == -ESRCH || thread_is_dead(name);
	still.threads[still.count++] = (struct thread){.id = id};
	return trace(PTRACE_INTERRUPT, id, 0) == 0 || thread_is_dead(name);
}

static bool threads_meet(void)
{
	_Alignas(8) char entries[4096] = {0};
	long got;

	(void)system_call(SYS_lseek, still.directory, 0, SEEK_SET, 0);
	while ((got = system_call(SYS_getdents64, still.directory, (long)entries, sizeof(entries), 0)) > 0)
		for (long at = 0; at < got;) {
			const struct directory_entry *entry = (const void *)(entries + at);

			if (entry->name[0] != '.' && !thread_meet(entry->name))
				return false;
			at += entry->bytes;
		}
	return got == 0;
}

static bool thread_await(struct thread *thread)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	int status = 0;

	for (unsigned int tries = 0;; tries++) {
		long result = system_call(SYS_wait4, thread->id, (long)&status, __WALL | WNOHANG, 0);

		if (result == thread->id) {
			thread->is_stopped = WIFSTOPPED(status);
			thread->is_gone = !thread->is_stopped;
			/* Above the signal's number is that of an event: then it was about to get none. */
			thread->signal = thread->is_stopped && !(status >> 16) ? WSTOPSIG(status) : 0;
			return true;
		}
		if (result < 0 && result != -EINTR) {
			thread->is_gone = true;
			return true;
		}
		if (is_late())
			return false;
		if (tries < SPINS)
			(void)system_call(SYS_sched_yield, 0, 0, 0, 0);
		else
			(void)system_call(SYS_nanosleep, (long)&pause, 0, 0, 0);
	}
}

/* Until there is none that has not been met: those that still run may make others. */
static bool threads_stop(void)
{
	size_t settled = 0;

	do {
		size_t before = settled;

		if (!threads_meet())
			return false;
		for (; settled < still.count; settled++)
			if (!thread_await(&still.threads[settled]))
				return false;
		if (settled == before)
			return true;
	} while (!is_late());
	return false;
}

/* Those that have not stopped yet are let go of when the helper ends. */
static void threads_release(void)
{
	for (size_t i = 0; i < still.count; i++)
		if (still.threads[i].is_stopped)
			(void)trace(PTRACE_DETACH, still.threads[i].id, still.threads[i].signal);
}

/* Until it waits for the helper's end, which is all that it sleeps for by now, or a debugger has stopped it. */
static bool caller_await(void)
{
	while (!is_late()) {
		char state = thread_state(still.caller_name);

		if (state == 'S' || state == 't')
			return true;
		(void)system_call(SYS_sched_yield, 0, 0, 0, 0);
	}
	return false;
}

/* In the helper. The caller is the first to be traced: so it is known whether that is allowed. */
static int help(void *unused)
{
	(void)unused;
	/* Else it would go on for a program that is killed. */
	(void)system_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
	while (!__atomic_load_n(&still.begins, __ATOMIC_ACQUIRE))
		(void)system_call(SYS_futex, (long)&still.begins, FUTEX_WAIT_PRIVATE, 0, 0);
	if (still.is_beside) {
		if (caller_await()) {
			still.work(still.argument);
			still.is_done = true;
		}
		return 0;
	}
	still.is_refused = trace(PTRACE_SEIZE, still.caller, 0) != 0;
	if (!still.is_refused && threads_stop() && still.has_met_caller) {
		still.work(still.argument);
		still.is_done = true;
	}
	threads_release();
	return 0;
}

static bool must_declare(void)
{
	char setting = 0;
	int file = open(YAMA_SETTING, O_RDONLY | O_CLOEXEC);

	if (file < 0)
		return false;
	if (read(file, &setting, 1) != 1)
		setting = 0;
	close(file);
	return setting == YAMA_DECLARED;
}

static void helper_run(bool declares)
{
	pid_t helper;

	still.begins = 0;
	/* Without a signal at its end it is no child that a program waits for. */
	helper = clone(help, still.stack + sizeof(still.stack), CLONE_VM | CLONE_FS | CLONE_FILES, NULL);
	if (helper < 0)
		return;
	if (declares)
		(void)prctl(PR_SET_PTRACER, helper, 0, 0, 0);
	__atomic_store_n(&still.begins, 1, __ATOMIC_RELEASE);
	word_wake(&still.begins, 1);
	while (system_call(SYS_wait4, helper, 0, __WALL, 0) == -EINTR)
		;
	if (declares)
		(void)prctl(PR_SET_PTRACER, 0, 0, 0, 0);
}

static bool run(void (*work)(void *argument), void *argument, bool is_beside)
{
	sigset_t all, before;

	still.work = work;
	still.argument = argument;
	still.caller = (pid_t)syscall(SYS_gettid);
	still.is_beside = is_beside;
	still.is_done = false;
	still.is_refused = false;
	still.has_met_caller = false;
	still.count = 0;
	(void)snprintf(still.caller_name, sizeof(still.caller_name), "%d", (int)still.caller);
	clock_gettime(CLOCK_MONOTONIC, &still.deadline);
	still.deadline.tv_sec += STOP_MS / 1000;
	still.directory = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (still.directory < 0)
		return false;
	/* The helper has the program's handlers, but must not run them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/*
	 * First as it is: whom the program has named itself cannot be asked for, and naming the helper forgets it.
	 * Where it named anybody, or a process that the helper descends from, the helper may already.
	 */
	helper_run(false);
	if (still.is_refused && must_declare())
		helper_run(true);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(still.directory);
	return still.is_done;
}

bool standstill_run(void (*work)(void *argument), void *argument)
{
	return run(work, argument, false);
}

bool standstill_run_beside(void (*work)(void *argument), void *argument)
{
	return run(work, argument, true);
}

bool standstill_has_control_block(uintptr_t start, uintptr_t end)
{
	for (size_t i = 0; i < still.count; i++) {
		/* What FS points to is the block, by the ABI. */
		unsigned long block = 0;

		if (still.threads[i].is_gone)
			continue;
		if (system_call(SYS_ptrace, PTRACE_PEEKUSER, still.threads[i].id, offsetof(struct user, regs.fs_base),
				(long)&block) ||
		    (block < end && block + CONTROL_BLOCK_BYTES > start))
			return true;
	}
	return false;
}
