/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs share that print what calls answer: one line each, so that the answers can be compared with a
 * GPU's. Each group of calls has a process of its own, for it may break its context or, natively, end badly.
 */
#ifndef TEST_ANSWERS_H
#define TEST_ANSWERS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../guest/cuda_calls.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* What natively ends the process is asked of ours alone. */
bool is_native(void);

/* The first part of each name. */
extern const char *answers_prefix;
/* What lines begin with: lines "result" are compared with the real driver's, lines "unlike" are not. */
extern const char *answers_word;
/* The group that natively ends its process, which is not compared; NULL: none. */
extern const char *answers_ends_natively;

/* Whether the call has succeeded; an error that comes later than its call has a line of its own. */
bool said(const char *name, CUresult result);

/* What a call has told. */
void told(const char *name, long long value);
void told_real(const char *name, double value);

/* The word of the lines from now on; NULL: "result" again. */
void answers_are(const char *word);

/* said() with that word. */
bool said_as(const char *word, const char *name, CUresult result);

/* Why it is unlike the real driver's answer, a comment says. */
#define SAID_UNLIKE(name, call) said_as("unlike", name, call)

/* What ends the process with the real driver. */
#define SAID_OURS(name, call)                              \
	do {                                               \
		if (!is_native())                          \
			(void)said_as("ours", name, call); \
	} while (0)

struct answers_group {
	const char *name;
	void (*calls)(void);
};

/* The group of that name alone, or each; 1: one of them has ended badly. */
int answers_run(const struct answers_group *groups, size_t count, const char *only);

/* The primary context of device 0 is current. */
void answers_context(void);

#endif
