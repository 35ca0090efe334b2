/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of a peer that is not trusted, as a bufferevent is one, but that no descriptor can come over: to receive one
 * without taking it is to close it, and its close may wait as long as the peer likes (closer.h). Who sends one has
 * ended the stream.
 *
 * All on the loop's thread. A handler may destroy the stream.
 */
#ifndef PEER_STREAM_H
#define PEER_STREAM_H

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;
struct event_base;
struct peer_stream;

struct peer_stream_handlers {
	void (*readable)(void *owner);
	/* All of the output has left. May be NULL. */
	void (*written)(void *owner);
	/* 'is_eof': the peer has said all that it will, and may still read. */
	void (*ended)(void *owner, bool is_eof);
};

/*
 * Takes over a socket that does not block; it reads when it is told to. No more than 'input_max' bytes and a piece are
 * read ahead. NULL: there is no memory; the socket is the caller's then.
 */
struct peer_stream *peer_stream_create(struct event_base *base, int socket, size_t input_max,
				       const struct peer_stream_handlers *handlers, void *owner);

/* The same as the end if for so long nothing comes while it reads, or nothing of what is to leave is taken. */
void peer_stream_silence_set(struct peer_stream *stream, unsigned seconds);

void peer_stream_read(struct peer_stream *stream, bool reads);

/* Calls 'readable' at the loop's next turn. */
void peer_stream_defer(struct peer_stream *stream);

struct evbuffer *peer_stream_input(struct peer_stream *stream);
struct evbuffer *peer_stream_output(struct peer_stream *stream);

/* Hangs up; without waiting. */
void peer_stream_destroy(struct peer_stream *stream);

#endif
