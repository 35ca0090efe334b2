/* SPDX-License-Identifier: Apache-2.0 */
#include "line_reader.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control_socket.h"
#include "mediator.h"

/* A child gets 64 KiB per period of 50 ms: 1.3 MB/s, far more than any log needs. */
#define PERIOD_BYTES_MAX    65536
#define PERIOD_MICROSECONDS 50000
#define FINISH_BYTES_MAX    (1u << 20) /* more than a socket's ordinary capacity */

static void lines_hand_out(struct line_reader *reader, bool all)
{
	char *start = reader->buffer;
	char *end;

	while ((end = memchr(start, '\n', reader->used - (size_t)(start - reader->buffer)))) {
		*end = '\0';
		if (end > start)
			reader->line(reader->owner, start);
		start = end + 1;
	}
	reader->used -= (size_t)(start - reader->buffer);
	memmove(reader->buffer, start, reader->used);
	if (reader->used == sizeof(reader->buffer) - 1 || (all && reader->used > 0)) {
		reader->buffer[reader->used] = '\0';
		reader->used = 0;
		reader->line(reader->owner, reader->buffer);
	}
}

/* Reads once; false when there is nothing (more) now or ever. */
static bool some_read(struct line_reader *reader, bool *ret_ended)
{
	ssize_t count;

	do {
		count = control_read_bare(reader->output, reader->buffer + reader->used,
					  sizeof(reader->buffer) - 1 - reader->used);
	} while (count < 0 && errno == EINTR);
	*ret_ended = count == 0 || (count < 0 && errno != EAGAIN);
	if (count <= 0)
		return false;
	/* A NUL would hide the rest of its line. */
	for (char *byte = reader->buffer + reader->used; byte < reader->buffer + reader->used + count; byte++) {
		if (*byte == '\0')
			*byte = '?';
	}
	reader->used += (size_t)count;
	reader->period_bytes += (size_t)count;
	lines_hand_out(reader, false);
	return true;
}

static void period_update(struct line_reader *reader)
{
	struct timespec now;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &now);
	seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	if (seconds - reader->period_started < PERIOD_MICROSECONDS / 1e6)
		return;
	reader->period_started = seconds;
	reader->period_bytes = 0;
}

static void output_readable(evutil_socket_t output, short what, void *argument)
{
	struct line_reader *reader = argument;
	struct timeval period = {.tv_usec = PERIOD_MICROSECONDS};
	bool ended;

	(void)output;
	(void)what;
	period_update(reader);
	while (some_read(reader, &ended)) {
		if (reader->period_bytes > PERIOD_BYTES_MAX) {
			event_del(reader->readable);
			event_add(reader->pause, &period);
			return;
		}
	}
	if (ended)
		event_del(reader->readable);
}

static void pause_ended(evutil_socket_t none, short what, void *argument)
{
	struct line_reader *reader = argument;

	(void)none;
	(void)what;
	event_add(reader->readable, NULL);
}

int line_reader_adopt(struct mediator *mediator, struct line_reader *reader, int output)
{
	reader->output = output;
	reader->used = 0;
	reader->period_bytes = 0;
	reader->pause = NULL;
	reader->readable = NULL;
	reader->readable = event_new(mediator->base, output, EV_READ | EV_PERSIST, output_readable, reader);
	reader->pause = evtimer_new(mediator->base, pause_ended, reader);
	if (reader->readable && reader->pause && event_add(reader->readable, NULL) == 0)
		return 0;
	line_reader_close(reader);
	errno = ENOMEM;
	return -1;
}

int line_reader_open(struct mediator *mediator, struct line_reader *reader, int *ret_write_end)
{
	int output;

	if (control_output_create(&output, ret_write_end) < 0)
		return -1;
	if (line_reader_adopt(mediator, reader, output) < 0) {
		int error = errno;

		close(*ret_write_end);
		errno = error;
		return -1;
	}
	return 0;
}

void line_reader_finish(struct line_reader *reader)
{
	size_t before = reader->period_bytes;
	bool ended;

	if (!reader->readable)
		return;
	while (reader->period_bytes - before < FINISH_BYTES_MAX && some_read(reader, &ended))
		continue;
	lines_hand_out(reader, true);
	line_reader_close(reader);
}

void line_reader_close(struct line_reader *reader)
{
	if (reader->readable)
		event_free(reader->readable);
	if (reader->pause)
		event_free(reader->pause);
	/* The child may have sent descriptors there. */
	if (reader->output > 0)
		control_descriptor_close(reader->output);
	reader->readable = NULL;
	reader->pause = NULL;
	reader->output = -1;
}
