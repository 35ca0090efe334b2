/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device printf.  The driver writes it to this process's standard output when
 * a call synchronises.  Standard output is a memory file (a pipe could fill up
 * and block the very call that we would have to return from to empty it), and
 * what has arrived there is sent to the guest as PRINT events before the reply
 * of the call.
 *
 * Programs without printf pay nothing: making the driver write takes 1.2 us
 * after each kernel (measured with driver 580), as much as all the rest of a
 * remote synchronisation.
 */
#ifndef EXECUTOR_PRINT_H
#define EXECUTOR_PRINT_H

#include <stdbool.h>

#include "execute.h"

struct print {
	uint32_t is_possible; /* a module was loaded whose kernels may use printf */
	uint32_t scans;	      /* images that are looked at (print_scan.h) */
	int file;	      /* what standard output is */
	uint64_t taken;	      /* bytes already sent */
};

/* May a kernel that runs use printf? */
static inline bool print_is_possible(const struct print *print)
{
	/* In this order: an image is counted until what was found in it is known. */
	return __atomic_load_n(&print->scans, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&print->is_possible, __ATOMIC_RELAXED);
}

/* Replaces standard output. 0, or -errno. */
int print_open(struct print *print);

/* Sends what has arrived, the latest 32 MiB of it. */
void print_forward(struct executor *executor);

/*
 * Between calls: sends early what has become much, as fast as the guest takes it, and loses the oldest of
 * what has become too much, so that a kernel that prints without end does not fill the host's memory.
 */
void print_poll(struct executor *executor);

#endif
