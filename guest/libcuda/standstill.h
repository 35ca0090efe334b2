/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that no other thread of the program may see half done: they stand still
 * meanwhile.
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

/*
 * Runs work(argument) in the helper process; it may make system calls and touch memory, but must take no lock, so
 * it calls nothing that allocates. One caller at a time. false: it was not run.
 */
bool standstill_run(void (*work)(void *argument), void *argument);

#endif
