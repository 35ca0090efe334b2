/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES_MAX	 (sizeof(struct link_frame) + LINK_PAYLOAD_BYTES_MAX)
#define IN_BYTES	 (2 * FRAME_BYTES_MAX)
#define NO_FRAME	 SIZE_MAX
#define TLS_RECORD_BYTES 16384u
/* The kernel is not to hold much that has not left, for nothing gets before that. */
#define UNSENT_BYTES  (256 << 10)
#define QUIET_SECONDS 30
/* Read from the kernel at once: by itself OpenSSL reads a record's header and its body by a call each. */
#define READ_BYTES (64 << 10)
/* AES-GCM is not to encrypt more than 2^24.5 records under one key (RFC 8446, 5.5), and OpenSSL does not see to it. */
#define KEY_RECORDS (1u << 22)

uint64_t link_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

int link_create(struct link *link, SSL_CTX *context, int socket)
{
	int unsent = UNSENT_BYTES;
	int idle = QUIET_SECONDS;
	int one = 1;

	*link = (struct link){.socket = socket, .open_frame = NO_FRAME, .heard_ms = link_now_ms()};
	link->in = malloc(IN_BYTES);
	link->out = malloc(LINK_OUT_BYTES);
	link->ssl = SSL_new(context);
	if (!link->in || !link->out || !link->ssl || SSL_set_fd(link->ssl, socket) != 1) {
		link_destroy(link);
		return -ENOMEM;
	}
	SSL_set_read_ahead(link->ssl, 1);
	SSL_set_default_read_buffer_len(link->ssl, READ_BYTES);
	/* Batches are made here; the kernel must not wait for more. */
	setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	/* A lane may be quiet for as long as its program likes: what forgets such connections is to see something. */
	setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof(idle));
	return 0;
}

void link_destroy(struct link *link)
{
	SSL_free(link->ssl);
	free(link->in);
	free(link->out);
	if (link->socket >= 0)
		close(link->socket);
	*link = (struct link){.socket = -1};
}

static void reason_set(struct link *link, const char *what)
{
	unsigned long error = ERR_peek_last_error();
	const char *detail = error ? ERR_reason_error_string(error) : NULL;
	long verified = SSL_get_verify_result(link->ssl);

	if (verified != X509_V_OK)
		detail = X509_verify_cert_error_string(verified);
	snprintf(link->reason, sizeof(link->reason), "%s%s%s", what, detail ? ": " : "", detail ? detail : "");
	ERR_clear_error();
}

/* True: it will go on when the socket is ready. */
static bool is_temporary(struct link *link, int result, const char *what)
{
	int error = SSL_get_error(link->ssl, result);
	int system_error = errno;

	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return true;
	if (error == SSL_ERROR_ZERO_RETURN || (error == SSL_ERROR_SYSCALL && system_error == 0))
		snprintf(link->reason, sizeof(link->reason), "the other side closed the connection");
	else if (error == SSL_ERROR_SYSCALL)
		snprintf(link->reason, sizeof(link->reason), "%s: %s", what, strerror(system_error));
	else
		reason_set(link, what);
	return false;
}

bool link_handshake(struct link *link, bool is_server, int timeout_ms)
{
	uint64_t end = link_now_ms() + (uint64_t)timeout_ms;

	if (is_server)
		SSL_set_accept_state(link->ssl);
	else
		SSL_set_connect_state(link->ssl);
	for (;;) {
		struct pollfd wait = {.fd = link->socket};
		uint64_t now;
		int result;

		ERR_clear_error();
		errno = 0;
		result = SSL_do_handshake(link->ssl);
		if (result == 1) {
			link->heard_ms = link_now_ms();
			return true;
		}
		if (!is_temporary(link, result, "TLS handshake"))
			return false;
		now = link_now_ms();
		if (now >= end) {
			snprintf(link->reason, sizeof(link->reason), "TLS handshake: no answer in time");
			return false;
		}
		wait.events = SSL_want_write(link->ssl) ? POLLOUT : POLLIN;
		if (poll(&wait, 1, (int)(end - now)) < 0 && errno != EINTR) {
			snprintf(link->reason, sizeof(link->reason), "poll: %s", strerror(errno));
			return false;
		}
	}
}

size_t link_room(const struct link *link)
{
	size_t used = link->out_end - link->out_begin + sizeof(struct link_frame) + LINK_EARLY_BYTES;

	return used < LINK_OUT_BYTES ? LINK_OUT_BYTES - used : 0;
}

/* Moves what waits to the start of the buffer. */
static void out_compact(struct link *link)
{
	memmove(link->out, link->out + link->out_begin, link->out_end - link->out_begin);
	if (link->open_frame != NO_FRAME)
		link->open_frame -= link->out_begin;
	link->next_frame -= link->out_begin;
	link->out_end -= link->out_begin;
	link->out_begin = 0;
}

static size_t frame_after(const struct link *link, size_t at)
{
	struct link_frame frame;

	memcpy(&frame, link->out + at, sizeof(frame));
	return at + sizeof(frame) + frame.bytes;
}

void *link_put(struct link *link, enum link_frame_type type, uint32_t bytes, bool append)
{
	struct link_frame frame = {.bytes = bytes, .type = type};
	void *place;

	if (link->out_end + sizeof(frame) + bytes > LINK_OUT_BYTES)
		out_compact(link);
	if (append && link->open_frame != NO_FRAME) {
		struct link_frame open;

		memcpy(&open, link->out + link->open_frame, sizeof(open));
		if (open.type == type && open.bytes + bytes <= LINK_PAYLOAD_BYTES_MAX) {
			open.bytes += bytes;
			memcpy(link->out + link->open_frame, &open, sizeof(open));
			place = link->out + link->out_end;
			link->out_end += bytes;
			return place;
		}
	}
	link->open_frame = append ? link->out_end : NO_FRAME;
	memcpy(link->out + link->out_end, &frame, sizeof(frame));
	place = link->out + link->out_end + sizeof(frame);
	link->out_end += sizeof(frame) + bytes;
	return place;
}

void *link_put_early(struct link *link, enum link_frame_type type, uint32_t bytes)
{
	struct link_frame frame = {.bytes = bytes, .type = type};
	size_t whole = sizeof(frame) + bytes;
	size_t at;

	if (link->out_end - link->out_begin + whole > LINK_OUT_BYTES)
		return NULL;
	if (link->out_end + whole > LINK_OUT_BYTES)
		out_compact(link);
	at = link->next_frame;
	/* A record of TLS may have been made already of what comes first; it must stay as it is. */
	while (at < link->out_end && at - link->out_begin < TLS_RECORD_BYTES)
		at = frame_after(link, at);
	memmove(link->out + at + whole, link->out + at, link->out_end - at);
	memcpy(link->out + at, &frame, sizeof(frame));
	if (link->open_frame != NO_FRAME)
		link->open_frame = link->open_frame >= at ? link->open_frame + whole : NO_FRAME;
	link->out_end += whole;
	return link->out + at + sizeof(frame);
}

void link_frames_end(struct link *link)
{
	free(link->in);
	free(link->out);
	link->in = link->out = NULL;
}

size_t link_write(struct link *link, const void *data, size_t bytes)
{
	size_t written = 0;
	int result;

	ERR_clear_error();
	errno = 0;
	/* It leaves with the next record. Not while one waits to leave, which must be offered again as it is. */
	if (link->key_records >= KEY_RECORDS && !link->is_blocked &&
	    SSL_key_update(link->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
		link->key_records = 0;
	result = SSL_write_ex(link->ssl, data, bytes, &written);
	link->is_blocked = result != 1;
	if (result != 1) {
		is_temporary(link, result, "send");
		return 0;
	}
	link->sent_bytes += written;
	link->key_records++;
	return written;
}

size_t link_read(struct link *link, void *data, size_t bytes)
{
	size_t got = 0;
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_read_ex(link->ssl, data, bytes, &got);
	if (result == 1)
		return got;
	is_temporary(link, result, "receive");
	return 0;
}

bool link_flush(struct link *link)
{
	link->open_frame = NO_FRAME;
	while (link->out_begin != link->out_end) {
		size_t written = link_write(link, link->out + link->out_begin, link->out_end - link->out_begin);

		if (written == 0)
			return !link->reason[0];
		link->out_begin += written;
		while (link->next_frame < link->out_begin)
			link->next_frame = frame_after(link, link->next_frame);
	}
	link->out_begin = link->out_end = link->next_frame = 0;
	return true;
}

bool link_fill(struct link *link)
{
	if (link->in_begin == link->in_end) {
		link->in_begin = link->in_end = 0;
	} else if (IN_BYTES - link->in_end < FRAME_BYTES_MAX) {
		memmove(link->in, link->in + link->in_begin, link->in_end - link->in_begin);
		link->in_end -= link->in_begin;
		link->in_begin = 0;
	}
	while (link->in_end < IN_BYTES) {
		size_t got = link_read(link, link->in + link->in_end, IN_BYTES - link->in_end);

		if (got == 0)
			return !link->reason[0];
		link->in_end += got;
		link->heard_ms = link_now_ms();
	}
	return true;
}

int link_peek(struct link *link, struct link_view *ret_view)
{
	size_t available = link->in_end - link->in_begin;
	struct link_frame frame;

	if (available < sizeof(frame))
		return 0;
	memcpy(&frame, link->in + link->in_begin, sizeof(frame));
	if (frame.bytes > LINK_PAYLOAD_BYTES_MAX || frame.type == 0 || frame.type >= LINK_FRAME_TYPE_COUNT) {
		snprintf(link->reason, sizeof(link->reason), "a frame of type %u and %u bytes came", frame.type,
			 frame.bytes);
		return -1;
	}
	if (available - sizeof(frame) < frame.bytes)
		return 0;
	*ret_view = (struct link_view){
		.type = (enum link_frame_type)frame.type,
		.payload = link->in + link->in_begin + sizeof(frame),
		.bytes = frame.bytes,
	};
	return 1;
}

void link_consume(struct link *link, const struct link_view *view)
{
	link->in_begin += sizeof(struct link_frame) + view->bytes;
}
