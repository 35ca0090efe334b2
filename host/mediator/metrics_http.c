/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>

#include "health.h"
#include "log.h"
#include "mediator.h"
#include "metrics.h"

#define CONNECTIONS_MAX	   64
#define CONNECTION_SECONDS 5
#define REQUEST_BYTES_MAX  8192
#define BACKLOG		   16
#define ACCEPTS_AT_ONCE	   16 /* fewer than places: no newcomer loses his before he was read */
#define TEXT_MS		   1000
#define ADDRESS_BYTES	   64
#define REASON_BYTES	   160
#define TYPE_TEXT	   "text/plain; charset=utf-8"
#define TYPE_METRICS	   "text/plain; version=0.0.4; charset=utf-8"

struct connection {
	LIST_ENTRY(connection) link;
	struct metrics_http *metrics;
	struct bufferevent *stream;
	struct event *deadline;
	bool is_answered;
};

struct metrics_http {
	struct mediator *mediator;
	struct evconnlistener *listener; /* NULL: it does not listen, for 'reason' */
	struct event *pause;		 /* out of descriptors, or others are to have their turn: tries again later */
	LIST_HEAD(, connection) connections; /* the newest first */
	unsigned connection_count;
	unsigned accepted_at_once;
	struct evbuffer *text; /* NULL: none yet. It is written anew at most once in a while, however many ask */
	uint64_t text_written; /* milliseconds_now() */
	char address[ADDRESS_BYTES];
	char reason[REASON_BYTES];
};

static uint64_t milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool text_is_new(const struct metrics_http *metrics)
{
	return metrics->text && milliseconds_now() - metrics->text_written < TEXT_MS;
}

/* False: out of memory. */
static bool text_add(struct metrics_http *metrics, struct evbuffer *body)
{
	if (!text_is_new(metrics)) {
		struct evbuffer *text = evbuffer_new();

		if (!text || metrics_write(metrics->mediator, text) < 0) {
			if (text)
				evbuffer_free(text);
			return false;
		}
		/* Whoever still reads the old one keeps it. */
		if (metrics->text)
			evbuffer_free(metrics->text);
		metrics->text = text;
		metrics->text_written = milliseconds_now();
	}
	return evbuffer_add_buffer_reference(body, metrics->text) == 0;
}

static void connection_end(struct connection *connection)
{
	LIST_REMOVE(connection, link);
	connection->metrics->connection_count--;
	if (connection->deadline)
		event_free(connection->deadline);
	bufferevent_free(connection->stream);
	free(connection);
}

static void deadline_passed(evutil_socket_t none, short what, void *argument)
{
	(void)none;
	(void)what;
	connection_end(argument);
}

/* The answer: 'body' is emptied into it, unless only the head was asked for. */
static void answer(struct connection *connection, const char *status, const char *type, struct evbuffer *body,
		   bool head_only)
{
	struct evbuffer *output = bufferevent_get_output(connection->stream);

	evbuffer_add_printf(
		output, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status,
		type, evbuffer_get_length(body), strncmp(status, "405", 3) == 0 ? "Allow: GET, HEAD\r\n" : "");
	if (!head_only)
		evbuffer_add_buffer(output, body);
	connection->is_answered = true;
	bufferevent_disable(connection->stream, EV_READ);
}

static bool health_write(const struct mediator *mediator, struct evbuffer *body)
{
	struct health_check checks[HEALTH_CHECKS];
	bool is_good = health_look(mediator, checks);

	for (int i = 0; i < HEALTH_CHECKS; i++)
		evbuffer_add_printf(body, "%s: %s: %s\n", checks[i].name, checks[i].is_good ? "good" : "bad",
				    checks[i].text);
	return is_good;
}

/* "GET /metrics?x HTTP/1.1" */
static void request_answer(struct connection *connection, char *line, struct evbuffer *body)
{
	const struct mediator *mediator = connection->metrics->mediator;
	char *rest = NULL;
	const char *method = strtok_r(line, " ", &rest);
	char *target = strtok_r(NULL, " ", &rest);
	const char *version = strtok_r(NULL, " ", &rest);
	bool head_only = method && strcmp(method, "HEAD") == 0;

	if (!method || !version || strncmp(version, "HTTP/1.", 7) != 0) {
		answer(connection, "400 Bad Request", TYPE_TEXT, body, false);
		return;
	}
	target[strcspn(target, "?")] = '\0';
	if (!head_only && strcmp(method, "GET") != 0) {
		answer(connection, "405 Method Not Allowed", TYPE_TEXT, body, false);
	} else if (strcmp(target, "/metrics") == 0) {
		if (text_add(connection->metrics, body))
			answer(connection, "200 OK", TYPE_METRICS, body, head_only);
		else
			answer(connection, "500 Internal Server Error", TYPE_TEXT, body, head_only);
	} else if (strcmp(target, "/healthz") == 0) {
		bool is_good = health_write(mediator, body);

		answer(connection, is_good ? "200 OK" : "503 Service Unavailable", TYPE_TEXT, body, head_only);
	} else {
		answer(connection, "404 Not Found", TYPE_TEXT, body, head_only);
	}
}

/* The request is whole when its head is: what it says beyond the first line does not matter. */
static void readable(struct bufferevent *stream, void *argument)
{
	struct connection *connection = argument;
	struct evbuffer *input = bufferevent_get_input(stream);
	struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	struct evbuffer *body;
	char *line;

	if (end.pos < 0 && evbuffer_get_length(input) < REQUEST_BYTES_MAX)
		return;
	body = evbuffer_new();
	line = end.pos < 0 ? NULL : evbuffer_readln(input, NULL, EVBUFFER_EOL_CRLF_STRICT);
	if (!body) {
		free(line);
		connection_end(connection);
		return;
	}
	if (line)
		request_answer(connection, line, body);
	else
		answer(connection, "431 Request Header Fields Too Large", TYPE_TEXT, body, false);
	free(line);
	evbuffer_free(body);
}

static void written(struct bufferevent *stream, void *argument)
{
	const struct connection *connection = argument;

	/* The peer ends it; data that it still sends must not take the answer from it with a reset. */
	if (connection->is_answered)
		shutdown(bufferevent_getfd(stream), SHUT_WR);
	bufferevent_setwatermark(stream, EV_READ, 0, REQUEST_BYTES_MAX);
	bufferevent_enable(stream, EV_READ);
}

static void drained(struct bufferevent *stream, void *argument)
{
	struct connection *connection = argument;
	struct evbuffer *input = bufferevent_get_input(stream);

	if (connection->is_answered)
		evbuffer_drain(input, evbuffer_get_length(input));
	else
		readable(stream, argument);
}

static void ended(struct bufferevent *stream, short what, void *argument)
{
	struct connection *connection = argument;

	(void)stream;
	/* A peer that has said all may still want to hear. */
	if ((what & BEV_EVENT_EOF) != 0 && connection->is_answered &&
	    evbuffer_get_length(bufferevent_get_output(connection->stream)) > 0)
		return;
	connection_end(connection);
}

static void oldest_end(struct metrics_http *metrics)
{
	struct connection *connection;
	struct connection *oldest = NULL;

	LIST_FOREACH(connection, &metrics->connections, link)
	oldest = connection;
	if (oldest)
		connection_end(oldest);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t socket, struct sockaddr *address, int length,
		     void *argument)
{
	const struct timeval time = {.tv_sec = CONNECTION_SECONDS};
	const struct timeval now = {0};
	struct metrics_http *metrics = argument;
	struct connection *connection;

	(void)address;
	(void)length;
	/* Who came first has had his time: nobody keeps others out by holding all places. */
	if (metrics->connection_count >= CONNECTIONS_MAX)
		oldest_end(metrics);
	if (++metrics->accepted_at_once >= ACCEPTS_AT_ONCE) {
		metrics->accepted_at_once = 0;
		evconnlistener_disable(listener);
		event_add(metrics->pause, &now);
	}
	connection = calloc(1, sizeof(*connection));
	if (connection)
		connection->stream = bufferevent_socket_new(metrics->mediator->base, socket, BEV_OPT_CLOSE_ON_FREE);
	if (!connection || !connection->stream) {
		free(connection);
		evutil_closesocket(socket);
		return;
	}
	connection->metrics = metrics;
	LIST_INSERT_HEAD(&metrics->connections, connection, link);
	metrics->connection_count++;
	connection->deadline = evtimer_new(metrics->mediator->base, deadline_passed, connection);
	if (!connection->deadline || event_add(connection->deadline, &time) < 0) {
		connection_end(connection);
		return;
	}
	bufferevent_setcb(connection->stream, drained, written, ended, connection);
	bufferevent_setwatermark(connection->stream, EV_READ, 0, REQUEST_BYTES_MAX);
	bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
}

static void accept_failed(struct evconnlistener *listener, void *argument)
{
	const struct timeval later = {.tv_sec = 1};
	struct metrics_http *metrics = argument;

	evconnlistener_disable(listener);
	event_add(metrics->pause, &later);
}

static void pause_ended(evutil_socket_t none, short what, void *argument)
{
	struct metrics_http *metrics = argument;

	(void)none;
	(void)what;
	evconnlistener_enable(metrics->listener);
}

static void address_log(const struct sockaddr_storage *where)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)where;
	const struct sockaddr_in *four = (const struct sockaddr_in *)where;
	char text[INET6_ADDRSTRLEN] = "";

	if (where->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
		log_info("[METRICS] http://[%s]:%u/metrics", text, ntohs(six->sin6_port));
	} else {
		inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
		log_info("[METRICS] http://%s:%u/metrics", text, ntohs(four->sin_port));
	}
}

/* Numbers only: to look a name up may take long. The port is at the same place in both families. */
static bool address_parse(const char *address, struct sockaddr_storage *ret_where, int *ret_length)
{
	*ret_where = (struct sockaddr_storage){0};
	*ret_length = sizeof(*ret_where);
	return strlen(address) < ADDRESS_BYTES &&
	       evutil_parse_sockaddr_port(address, (struct sockaddr *)ret_where, ret_length) == 0 &&
	       ((const struct sockaddr_in *)ret_where)->sin_port != 0;
}

bool metrics_address_is_known(const char *address)
{
	struct sockaddr_storage where;
	int length;

	return strcmp(address, METRICS_ADDRESS_NONE) == 0 || address_parse(address, &where, &length);
}

static void listen_begin(struct metrics_http *metrics)
{
	const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
	char before[REASON_BYTES];
	struct sockaddr_storage where;
	int length;

	memcpy(before, metrics->reason, sizeof(before));
	if (!address_parse(metrics->address, &where, &length)) {
		snprintf(metrics->reason, sizeof(metrics->reason), "no numeric address with a port");
	} else {
		metrics->listener = evconnlistener_new_bind(metrics->mediator->base, accepted, metrics, flags, BACKLOG,
							    (struct sockaddr *)&where, length);
		snprintf(metrics->reason, sizeof(metrics->reason), "%s", metrics->listener ? "" : strerror(errno));
	}
	if (metrics->listener) {
		evconnlistener_set_error_cb(metrics->listener, accept_failed);
		address_log(&where);
	} else if (strcmp(before, metrics->reason) != 0) {
		log_error("[METRICS] %s: %s; trying again on each heartbeat", metrics->address, metrics->reason);
	}
}

struct metrics_http *metrics_http_open(struct mediator *mediator)
{
	const struct configuration *configuration = &mediator->configuration;
	const char *address = configuration->metrics;
	struct metrics_http *metrics;

	/* A mediator with sockets of its own is not the host's. */
	if (!address)
		address = configuration->sockets.count ? METRICS_ADDRESS_NONE : METRICS_ADDRESS;
	if (strcmp(address, METRICS_ADDRESS_NONE) == 0)
		return NULL;
	metrics = calloc(1, sizeof(*metrics));
	if (!metrics)
		return NULL;
	metrics->mediator = mediator;
	LIST_INIT(&metrics->connections);
	snprintf(metrics->address, sizeof(metrics->address), "%s", address);
	metrics->pause = evtimer_new(mediator->base, pause_ended, metrics);
	if (!metrics->pause) {
		free(metrics);
		return NULL;
	}
	listen_begin(metrics);
	return metrics;
}

void metrics_http_check(struct metrics_http *metrics)
{
	if (metrics && !metrics->listener)
		listen_begin(metrics);
}

bool metrics_http_look(const struct metrics_http *metrics, char *text, size_t bytes)
{
	if (!metrics)
		snprintf(text, bytes, "none are asked for");
	else if (metrics->listener)
		snprintf(text, bytes, "http://%s/metrics", metrics->address);
	else
		snprintf(text, bytes, "%s: %s", metrics->address, metrics->reason);
	return !metrics || metrics->listener;
}

void metrics_http_close(struct metrics_http *metrics)
{
	if (!metrics)
		return;
	event_free(metrics->pause);
	if (metrics->listener)
		evconnlistener_free(metrics->listener);
	while (!LIST_EMPTY(&metrics->connections))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): connection_end() unlinks what it frees */
		connection_end(LIST_FIRST(&metrics->connections));
	if (metrics->text)
		evbuffer_free(metrics->text);
	free(metrics);
}
