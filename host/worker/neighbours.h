/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What executors at a worker ask about others of the same tenant, as executors of a host ask the mediator: handles of
 * CUDA IPC, and who uses a device. The service's main process answers, so that no host can have a handle opened that
 * was not published here for the same tenant.
 */
#ifndef WORKER_NEIGHBOURS_H
#define WORKER_NEIGHBOURS_H

#include <stdbool.h>

#include "accounts.h"

/* The connection's socket is readable, and its executor is there. False: it is the end, or no question. */
bool neighbours_answer(const struct accounts *accounts, struct connection *connection);

#endif
