/* SPDX-License-Identifier: Apache-2.0 */
/* The way from a host to a worker: connection, TLS, the first frame. All of it blocks, for a bounded time. */
#ifndef WORKER_RELAY_CONNECT_H
#define WORKER_RELAY_CONNECT_H

#include <stdbool.h>

#include "link.h"

struct relay_connect_plan {
	const char *worker; /* HOST:PORT, or [ADDRESS]:PORT */
	int credentials;    /* their file */
	bool once;	    /* a worker that does not listen is not waited for: there are others */
};

/* Why there is no connection. */
struct relay_connect_failure {
	enum vgpu_channel_error error;
	char text[VGPU_CONTROL_TEXT_BYTES];
};

/* A link after its handshake. False: see *ret_failure. */
bool relay_connect(struct link *link, const struct relay_connect_plan *plan, struct relay_connect_failure *ret_failure);

/* One more link to the same address, with the same credentials. */
bool relay_connect_lane(struct link *link, const struct link *first, const struct relay_connect_plan *plan,
			struct relay_connect_failure *ret_failure);

/* By which a worker tells the tenants of this host from those of others. */
void relay_host_name(char name[LINK_HOST_BYTES]);

#endif
