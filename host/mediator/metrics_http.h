/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics over HTTP: /metrics for Prometheus, /healthz for whoever asks whether the mediator works (200 or 503).
 * Only on the loopback interface unless the configuration says otherwise, for there is no authentication.
 *
 * Not with libevent's evhttp, which bounds neither the number of connections nor how long one lives: who can connect
 * could take all of the mediator's descriptors. Here they are few, and each answers one request within some seconds.
 */
#ifndef MEDIATOR_METRICS_HTTP_H
#define MEDIATOR_METRICS_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define METRICS_ADDRESS	     "127.0.0.1:9455"
#define METRICS_ADDRESS_NONE "none"

struct mediator;
struct metrics_http;

/* Is that a value of the setting "metrics": a numeric address and a port, or "none"? */
bool metrics_address_is_known(const char *address);

/*
 * NULL where the configuration says none, or out of memory. Where it cannot listen the log says so, and it tries again
 * when it is checked.
 */
struct metrics_http *metrics_http_open(struct mediator *mediator);

/* Listens if that has not worked yet; on each heartbeat. NULL is fine. */
void metrics_http_check(struct metrics_http *metrics);

/* True: it listens, or is not to (NULL); where, or why not. */
bool metrics_http_look(const struct metrics_http *metrics, char *text, size_t bytes);

/* NULL is fine. */
void metrics_http_close(struct metrics_http *metrics);

#endif
