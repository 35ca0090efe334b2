/* SPDX-License-Identifier: Apache-2.0 */
/* How much a peer may write into the log: one bound for all its connections, however often it makes new ones. */
#ifndef JOBS_PEER_LOG_H
#define JOBS_PEER_LOG_H

#include <stdint.h>

#include "log.h"

/* Of a VM, or, where it has no number (JOBS_NO_VM), of an address. Lasts as long as the program. */
struct log_limit *peer_log_find(uint32_t vm_id, const char *name);

#endif
