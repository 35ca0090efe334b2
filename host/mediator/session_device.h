/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a VM's device. */
#ifndef MEDIATOR_SESSION_DEVICE_H
#define MEDIATOR_SESSION_DEVICE_H

#include "session.h"

/*
 * DEVICE_HELLO on a new session: accepts it as a VM or refuses it.  A vm_id is of one connection at
 * a time, the one that came first; it stays taken until the last executor of that connection is gone.
 * May take descriptors out of the message.
 */
void session_device_hello(struct session *session, struct control_message *message);

/* A later message. May take descriptors out of it. */
void session_device_message(struct session *session, struct control_message *message);

#endif
