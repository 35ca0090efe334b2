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

#define METRICS_ADDRESS	     "127.0.0.1:9455"
#define METRICS_ADDRESS_NONE "none"

struct mediator;
struct metrics_http;

/* NULL where the configuration says none or it does not work, which the log says: the mediator goes on without. */
struct metrics_http *metrics_http_open(struct mediator *mediator);

/* NULL is fine. */
void metrics_http_close(struct metrics_http *metrics);

#endif
