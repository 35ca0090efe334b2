/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines from a child's output, as they come.  A line longer than the buffer is
 * given in pieces.  A child that writes very much is made to wait.
 */
#ifndef MEDIATOR_LINE_READER_H
#define MEDIATOR_LINE_READER_H

#include <stddef.h>

struct event;
struct mediator;

#define LINE_READER_BYTES 512

struct line_reader {
	int output; /* -1: none */
	struct event *readable;
	struct event *pause;
	double period_started;
	size_t period_bytes; /* read since then */
	size_t used;
	char buffer[LINE_READER_BYTES];
	void (*line)(void *owner, const char *line); /* without the line's end */
	void *owner;
};

/*
 * Makes the socket (control_output_create()); 'ret_write_end' is for the child and the caller's to close. 'reader' has
 * its handler set and must stay where it is. 0, or -1 with errno.
 */
int line_reader_open(struct mediator *mediator, struct line_reader *reader, int *ret_write_end);

/* The same with its reading end, which becomes the reader's. */
int line_reader_adopt(struct mediator *mediator, struct line_reader *reader, int output);

/* Hands out what is still there, without waiting for more, and closes it. */
void line_reader_finish(struct line_reader *reader);

/* Closes it without handing out anything; nothing happens where it is closed or zero. */
void line_reader_close(struct line_reader *reader);

#endif
