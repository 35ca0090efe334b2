/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that have not shown credentials yet. Whoever reaches the port can make them, so they have places of their
 * own and keep none by being slow: when all are taken the oldest gives way, but one of a machine from which somebody
 * with credentials is here only to another of such a machine. The main process, one thread.
 */
#ifndef WORKER_STRANGERS_H
#define WORKER_STRANGERS_H

#include "accounts.h"

/* Somebody with credentials is here from that host. */
bool stranger_is_familiar(const struct accounts *accounts, const char *host);
/* A place for a new connection. False: there is none, and none can be made. */
bool stranger_room_make(struct accounts *accounts, const char *host, bool is_familiar);
/* It has shown credentials. False, and its process is ended: there are too many that have. */
bool stranger_admit(struct accounts *accounts, struct connection *connection);

#endif
