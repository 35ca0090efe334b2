/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets that the mediator listens on: those of the configuration, or the
 * usual places; and one in each chroot of Xen's QEMU, which come and go.
 *
 * A lock file beside each of the former ("PATH.lock") decides between two
 * mediators, and stays: removing it would open a race.  A socket file that
 * nobody listens on is replaced.
 */
#ifndef MEDIATOR_LISTENER_H
#define MEDIATOR_LISTENER_H

struct listeners;
struct mediator;

enum listeners_result {
	LISTENERS_OPEN,
	LISTENERS_IN_USE, /* another mediator has one of the sockets */
	LISTENERS_FAILED,
};

/*
 * Opens them; what went wrong is in the log.  A place that the configuration names must work; of the
 * usual places one is enough.  LISTENERS_OPEN and '*ret_listeners', or nothing is open.
 */
enum listeners_result listeners_open(struct mediator *mediator, struct listeners **ret_listeners);

/* Looks for new and gone Xen chroots, and makes sockets again whose file somebody removed. */
void listeners_check(struct listeners *listeners);

/* Closes and removes the sockets. NULL is fine. */
void listeners_close(struct listeners *listeners);

#endif
