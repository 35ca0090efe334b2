/* SPDX-License-Identifier: Apache-2.0 */
/* The control messages of the mirror's executor: its end, and what it asks of the service's main process. */
#ifndef WORKER_MIRROR_CONTROL_H
#define WORKER_MIRROR_CONTROL_H

#include <poll.h>

#include "mirror.h"

/* The executor's socket is readable or closed. */
void mirror_control_take(struct mirror *mirror);

/* The same of the main process's. */
void mirror_answer_take(struct mirror *mirror);

/* Waits for it a while, and says that this process is there. As poll(2) returns; -1 too when it is then (link_now_ms).
 */
int mirror_patience(struct mirror *mirror, struct pollfd *wait, uint64_t end_ms);

/* Waits until then (link_now_ms), until the main process has said how the executor has ended, where that is awaited. */
void mirror_end_await(struct mirror *mirror, uint64_t end_ms);

#endif
