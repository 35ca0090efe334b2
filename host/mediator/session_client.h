/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a local program. */
#ifndef MEDIATOR_SESSION_CLIENT_H
#define MEDIATOR_SESSION_CLIENT_H

#include "session.h"

/*
 * CLIENT_HELLO on a new session: starts an executor for the program. HELLO_REPLY is sent when that
 * is ready, followed by CLIENT_CHANNEL, or when it has failed, so that the program learns the reason
 * in one place. No later message is expected of a program.
 */
void session_client_hello(struct session *session, const struct control_message *message);

/* Ends the session with the program's process. */
void session_client_watch(struct session *session);

/* What its channel is opened with, but for descriptors; 'label' must outlive the use of *ret_request. */
void session_client_request(struct session *session, char *label, size_t label_bytes,
			    struct channel_request *ret_request);

#endif
