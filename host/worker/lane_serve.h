/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's end of a lane (lane.h), in the process of its connection, which never sees more of its channel than the
 * memory with the windows. The main process says whose lane it is: the token is the channel's, and so are the
 * credentials; and ends the process with the channel's.
 */
#ifndef WORKER_LANE_SERVE_H
#define WORKER_LANE_SERVE_H

#include <stdbool.h>

#include "accounts.h"
#include "link.h"

/* Until the lane is lost, which its channel's process is told. False: it was refused, see link->reason. */
bool lane_serve(struct link *link, const struct link_lane *greeting,
		const uint8_t certificate[ACCOUNT_CERTIFICATE_BYTES], int accounts);

#endif
