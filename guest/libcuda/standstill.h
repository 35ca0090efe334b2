/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that no thread of the program may see half done: all of them stand still
 * meanwhile, the caller too, so that it may be done to the caller's own stack.
 *
 * A helper process that shares the memory stops them as a debugger would
 * (ptrace(2), PTRACE_SEIZE): nothing of the program's own, such as handlers of
 * signals, is involved, and a thread that is inside a system call has left it, so
 * that the kernel writes nothing for it either. What waits goes on waiting
 * afterwards, but for the few calls that end with EINTR whenever a process was
 * stopped (signal(7): epoll_wait and others).
 *
 * It cannot be where a debugger is there already, the process may not be traced
 * (Yama, seccomp, a set-user-id program), or a thread does not stop within two
 * seconds.
 */
#ifndef VGPU_STANDSTILL_H
#define VGPU_STANDSTILL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Runs work(argument) in the helper process, which has a stack of its own, but the caller's thread-local data; it may
 * make system calls and touch memory, but must take no lock, so it calls nothing that allocates. One caller at a time.
 * false: it was not run.
 */
bool standstill_run(void (*work)(void *argument), void *argument);

/* The same where the threads cannot be stopped: only the caller stands still, for it waits. */
bool standstill_run_beside(void (*work)(void *argument), void *argument);

/*
 * From the work of standstill_run(): may a thread have its control block there (struct pthread), in which the kernel
 * wakes by a futex who waits for the thread's end?
 */
bool standstill_has_control_block(uintptr_t start, uintptr_t end);

#endif
