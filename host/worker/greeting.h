/* SPDX-License-Identifier: Apache-2.0 */
/* The first frame on a connection of a worker's. */
#ifndef WORKER_GREETING_H
#define WORKER_GREETING_H

#include <stdbool.h>

#include "link.h"

/* What a connection is for. */
struct greeting {
	enum link_frame_type type; /* LINK_OPEN or LINK_LANE */
	struct link_open open;
	struct link_lane lane;
};

/* Waits for it, some seconds; texts in it are ended. False: the reason is the link's. */
bool greeting_receive(struct link *link, struct greeting *ret_greeting);

#endif
