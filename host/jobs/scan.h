/* SPDX-License-Identifier: Apache-2.0 */
/* Finds where a JSON object ends in a stream of bytes, without a parser's trust in them. */
#ifndef JOBS_SCAN_H
#define JOBS_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define SCAN_DEPTH_MAX 64

enum scan_result {
	SCAN_MORE,
	SCAN_WHOLE,   /* 'request' is an object */
	SCAN_NONE,    /* a line that is no object was passed by */
	SCAN_TOO_BIG, /* longer or deeper than allowed: where it ends is not known */
};

struct scan {
	char *request; /* the object so far, on one line */
	size_t bytes;
	size_t capacity;
	unsigned depth;
	bool in_text;
	bool is_escaped;
	bool is_garbage; /* until the line ends */
};

/* Takes bytes until something is decided; *ret_taken says how many. */
enum scan_result scan_bytes(struct scan *scan, const char *bytes, size_t count, size_t *ret_taken);

/* Begins anew; the memory of a long request is given back. */
void scan_reset(struct scan *scan);

#endif
