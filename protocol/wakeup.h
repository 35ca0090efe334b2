/* SPDX-License-Identifier: GPL-2.0-or-later OR Apache-2.0 */
/*
 * Waking a process that may have been taken over, and being woken by it, without ever waiting for it.
 *
 * Flags such as O_NONBLOCK belong to an open file, not to a descriptor: whoever has another descriptor of it can make
 * our reads and writes wait (F_SETFL, FIONBIO), and no filter of system calls can tell these descriptors from others.
 * So what wakes the other side is a socket, whose two ends are files of their own, and of what wakes us, an eventfd
 * that both have, only the changes are seen: it is never read.
 *
 * The other side needs none of this: it polls and reads what it is woken by, and writes eight bytes to the eventfd.
 */
#ifndef VGPU_WAKEUP_H
#define VGPU_WAKEUP_H

#include <stdbool.h>

/*
 * *ret_own is for wakeup_send(), *ret_other for the other side, which polls it and reads up to eight bytes each time
 * to clear it; nothing can be sent to us there. 0, or -1 with errno.
 */
int wakeup_create(int *ret_own, int *ret_other);

/* It is one of these, and no other kind of file. */
bool wakeup_is_own(int own);

/* Does not wait. Who has not read the last ones is awake, or will be woken by them. */
void wakeup_send(int own);

/*
 * A descriptor that poll() finds readable when the eventfd was written to since the last wakeup_take(); -1 with errno.
 * Not for an event loop that can wait for changes itself (EPOLLET).
 */
int wakeup_listen(int eventfd);
void wakeup_take(int listener);

#endif
