/* SPDX-License-Identifier: Apache-2.0 */
#include "strangers.h"

#include <signal.h>
#include <string.h>

static void process_end(struct connection *connection)
{
	connection->is_ending = true;
	if (connection->process > 0)
		kill(connection->process, SIGKILL);
}

bool stranger_is_familiar(const struct accounts *accounts, const char *host)
{
	const struct connection *connection;

	LIST_FOREACH(connection, &accounts->connections, link)
	{
		if (connection->is_known && strcmp(connection->host, host) == 0)
			return true;
	}
	return false;
}

bool stranger_room_make(struct accounts *accounts, const char *host, bool is_familiar)
{
	struct connection *victims[] = {NULL, NULL}; /* the oldest from other machines, and from familiar ones */
	struct connection *connection, *victim;
	unsigned count = 0;

	/* The newest is the first. */
	LIST_FOREACH(connection, &accounts->connections, link)
	{
		if (connection->is_known || connection->is_ending)
			continue;
		count++;
		victims[connection->is_familiar] = connection;
	}
	if (count < accounts->connections_max)
		return true;
	victim = victims[false];
	if (!victim && is_familiar)
		victim = victims[true];
	if (!victim)
		return false;
	log_write_limited(&accounts->refusals, LOG_LEVEL_INFO,
			  "%s: has shown no credentials for longest, and makes room for %s", victim->peer, host);
	process_end(victim);
	return true;
}

bool stranger_admit(struct accounts *accounts, struct connection *connection)
{
	const struct connection *other;
	unsigned count = 0;

	/* But for lanes: each channel has its number of them. */
	LIST_FOREACH(other, &accounts->connections, link)
	count += other->is_known && !other->lane_of;
	if (!connection->is_known && count < accounts->connections_max) {
		connection->is_known = true;
		return true;
	}
	log_write_limited(&accounts->refusals, LOG_LEVEL_WARNING, "%s: refused: too many connections",
			  connection->peer);
	process_end(connection);
	return false;
}
