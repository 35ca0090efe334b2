/* SPDX-License-Identifier: Apache-2.0 */
#include "peer_stream.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "closer.h"
#include "control_socket.h"
#include "log.h"

#define PIECE_BYTES 16384

struct peer_stream {
	int socket;
	struct bufferevent *writer; /* only writes */
	struct event *readable;
	struct event *deferred;
	struct evbuffer *input;
	size_t input_max;
	struct timeval silence; /* 0: for ever */
	bool reads;
	bool is_reading;
	const struct peer_stream_handlers *handlers;
	void *owner;
};

/* It reads while it is to, and there is room. */
static void reading_apply(struct peer_stream *stream)
{
	bool is_to_read = stream->reads && evbuffer_get_length(stream->input) < stream->input_max;

	if (is_to_read == stream->is_reading)
		return;
	stream->is_reading = is_to_read;
	if (is_to_read)
		event_add(stream->readable, stream->silence.tv_sec ? &stream->silence : NULL);
	else
		event_del(stream->readable);
}

static void input_changed(struct evbuffer *input, const struct evbuffer_cb_info *how, void *argument)
{
	(void)input;
	(void)how;
	reading_apply(argument);
}

static void socket_readable(evutil_socket_t socket, short what, void *argument)
{
	struct peer_stream *stream = argument;
	char piece[PIECE_BYTES];
	ssize_t got = 0;

	if (!(what & EV_TIMEOUT)) {
		got = control_read_bare(socket, piece, sizeof(piece));
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
	}
	if (got > 0 && evbuffer_add(stream->input, piece, (size_t)got) == 0) {
		stream->handlers->readable(stream->owner);
		return;
	}
	/* Nothing is read any more, whoever ends it. */
	peer_stream_read(stream, false);
	stream->handlers->ended(stream->owner, got == 0 && !(what & EV_TIMEOUT));
}

static void deferred(evutil_socket_t none, short what, void *argument)
{
	struct peer_stream *stream = argument;

	(void)none;
	(void)what;
	stream->handlers->readable(stream->owner);
}

static void written(struct bufferevent *writer, void *argument)
{
	struct peer_stream *stream = argument;

	(void)writer;
	if (stream->handlers->written)
		stream->handlers->written(stream->owner);
}

static void failed(struct bufferevent *writer, short what, void *argument)
{
	struct peer_stream *stream = argument;

	(void)writer;
	(void)what;
	stream->handlers->ended(stream->owner, false);
}

static void parts_free(struct peer_stream *stream)
{
	if (stream->writer)
		bufferevent_free(stream->writer);
	if (stream->readable)
		event_free(stream->readable);
	if (stream->deferred)
		event_free(stream->deferred);
	if (stream->input)
		evbuffer_free(stream->input);
	free(stream);
}

struct peer_stream *peer_stream_create(struct event_base *base, int socket, size_t input_max,
				       const struct peer_stream_handlers *handlers, void *owner)
{
	struct peer_stream *stream = calloc(1, sizeof(*stream));
	const int one = 1;

	if (!stream)
		return NULL;
	/* MSG_PEEK passes over bytes that are out of band, which would wait, and wake us, for ever. TCP has no need. */
	if (setsockopt(socket, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)) < 0)
		log_warning("SO_OOBINLINE: %s", strerror(errno));
	*stream = (struct peer_stream){
		.socket = socket,
		.writer = bufferevent_socket_new(base, socket, 0),
		.readable = event_new(base, socket, EV_READ | EV_PERSIST, socket_readable, stream),
		.deferred = evtimer_new(base, deferred, stream),
		.input = evbuffer_new(),
		.input_max = input_max,
		.handlers = handlers,
		.owner = owner,
	};
	if (!stream->writer || !stream->readable || !stream->deferred || !stream->input ||
	    !evbuffer_add_cb(stream->input, input_changed, stream)) {
		parts_free(stream);
		return NULL;
	}
	bufferevent_setcb(stream->writer, NULL, written, failed, stream);
	bufferevent_disable(stream->writer, EV_READ);
	bufferevent_enable(stream->writer, EV_WRITE);
	return stream;
}

void peer_stream_silence_set(struct peer_stream *stream, unsigned seconds)
{
	stream->silence.tv_sec = seconds;
	bufferevent_set_timeouts(stream->writer, NULL, seconds ? &stream->silence : NULL);
}

void peer_stream_read(struct peer_stream *stream, bool reads)
{
	stream->reads = reads;
	reading_apply(stream);
}

void peer_stream_defer(struct peer_stream *stream)
{
	const struct timeval now = {0};

	event_add(stream->deferred, &now);
}

struct evbuffer *peer_stream_input(struct peer_stream *stream)
{
	return stream->input;
}

struct evbuffer *peer_stream_output(struct peer_stream *stream)
{
	return bufferevent_get_output(stream->writer);
}

void peer_stream_destroy(struct peer_stream *stream)
{
	int socket = stream->socket;

	parts_free(stream);
	closer_hang_up(socket);
}
