/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines from a child's pipe, as they come.  A line longer than the buffer is
 * given in pieces.  A child that writes very much is made to wait.
 */
#ifndef MEDIATOR_LINE_READER_H
#define MEDIATOR_LINE_READER_H

#include <stddef.h>

struct event;
struct mediator;

#define LINE_READER_BYTES 512

struct line_reader {
	int pipe; /* -1: none */
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
 * Makes the pipe; 'ret_write_end' is for the child and the caller's to close. 'reader' has its
 * handler set and must stay where it is. 0, or -1 with errno.
 */
int line_reader_open(struct mediator *mediator, struct line_reader *reader, int *ret_write_end);

/* The same with the reading end of a pipe, which becomes the reader's. */
int line_reader_adopt(struct mediator *mediator, struct line_reader *reader, int pipe);

/* Hands out what is still in the pipe, without waiting for more, and closes it. */
void line_reader_finish(struct line_reader *reader);

/* Closes the pipe without handing out anything; nothing happens where it is closed or zero. */
void line_reader_close(struct line_reader *reader);

#endif
