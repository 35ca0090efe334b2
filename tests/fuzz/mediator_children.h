/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mediator's children in a fuzzer, which are none: process_start() and process_signal() are these functions instead
 * (meson.build), and what a child would do with its descriptors is the input's to say. One mediator at a time.
 */
#ifndef TEST_FUZZ_MEDIATOR_CHILDREN_H
#define TEST_FUZZ_MEDIATOR_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>

#include "process.h"

#define CHILDREN_MAX 64

struct child {
	struct process *process; /* NULL: there is none */
	bool is_probe;
	bool is_killed;
	int output;
	int error;
	int control; /* -1: it has none */
};

/* The child of that number, counted from the first that is there, and again from there; NULL: there are none. */
struct child *children_find(size_t number);

/* The one that looks for a driver; NULL: there is none now. */
struct child *children_probe(void);

/* It has ended, as waitpid() says it. */
void child_exit(struct child *child, int status);

/* Those that were killed end, and so do those with a control socket that is closed; all, if 'all'. */
void children_end(bool all);

/* Reads what waits in a control socket, and closes what came with it. */
void control_drain(int control);

#endif
