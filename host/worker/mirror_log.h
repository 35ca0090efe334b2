/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the executor says on standard error: it goes to the worker's own log, and the lines that the host is to know,
 * those of slow calls, to the relay too (LINK_TEXT), which gives them to the mediator's log.
 */
#ifndef WORKER_MIRROR_LOG_H
#define WORKER_MIRROR_LOG_H

#include <stddef.h>

#include "link.h"

struct mirror_log {
	int output; /* -1: nobody writes it any more */
	size_t used;
	char line[LINK_LINE_BYTES_MAX];
};

/* The end for the executor is the caller's to close. 0, or -1 with errno. */
int mirror_log_open(struct mirror_log *log, int *ret_write_end);

/* Takes what is there, without waiting; a line for which half of the link is not free stays here alone. */
void mirror_log_take(struct mirror_log *log, struct link *link);

#endif
