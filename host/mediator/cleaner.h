/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives memory of guests back to the kernel, on threads of its own: that takes the kernel as long as the guest has
 * written much (0.1 s for 256 MiB), and nobody else's turn is to wait for it.
 *
 * Holes are made a piece at a time, by turns of those whose memory it is, so that one with much does not hold up
 * another's channel, nor the file that a piece is of (the kernel locks it). Who holds that lock himself, for which he
 * only has to write into his file from where a page does not come, holds up one thread, and nobody else until there are
 * as many of them as threads. Files are closed by other threads, for the last close of one gives all that is left in it
 * back at once.
 *
 * All functions are called on the mediator's loop, and so is 'done'.
 */
#ifndef MEDIATOR_CLEANER_H
#define MEDIATOR_CLEANER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct cleaner;
struct event_base;

/* One thing to be done. It is its owner's, and must stay until 'done' or cleaner_destroy(). */
struct cleaning {
	const void *whose; /* only compared */
	int memory;	   /* a memory file, open until 'done' */
	uint64_t offset;   /* of the part that is to read as zeroes, in every mapping of it */
	uint64_t bytes;
	bool closes; /* closes the file, and makes no hole */
	/* 'error': 0, or the errno with which the kernel has refused. The owner may be freed, or add it again. */
	void (*done)(void *owner, int error);
	void *owner;

	/* The cleaner's. */
	TAILQ_ENTRY(cleaning) link;
	uint64_t served;
	bool is_held; /* a thread serves its owner */
	int error;
};

/* NULL with errno. */
struct cleaner *cleaner_create(struct event_base *base);

void cleaner_add(struct cleaner *cleaner, struct cleaning *cleaning);

/*
 * What is not done stays undone: nothing is called any more. A thread that is held up is not waited for longer than
 * 2 s; the process is to end soon after. NULL is accepted.
 */
void cleaner_destroy(struct cleaner *cleaner);

#endif
