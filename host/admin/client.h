/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to the mediator's socket for administration (host/mediator/admin.h has the protocol). */
#ifndef ADMIN_CLIENT_H
#define ADMIN_CLIENT_H

#include <jansson.h>

/* Exit codes; the manual page explains them. */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_MEDIATOR = 3,
	EXIT_DENIED = 4,
	EXIT_NOT_FOUND = 5,
	EXIT_CONFLICT = 6,
	EXIT_UNHEALTHY = 7,
};

struct client {
	int socket; /* -1: not connected */
	char *path;
};

/* EXIT_DONE, or what went wrong, with a line on standard error. */
enum exit_code client_connect(struct client *client, const char *path);
void client_close(struct client *client);

/*
 * Sends the command and waits for its answer, some seconds at most. 'arguments' is borrowed. EXIT_DONE and the result,
 * to be released; or what went wrong, with a line on standard error.
 */
enum exit_code client_request(struct client *client, const char *command, json_t *arguments, json_t **ret_result);

#endif
