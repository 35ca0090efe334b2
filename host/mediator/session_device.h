/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a VM's device. */
#ifndef MEDIATOR_SESSION_DEVICE_H
#define MEDIATOR_SESSION_DEVICE_H

#include "session.h"

/* Identities for devices without one, where the configuration allows it, from here on. */
#define VM_ID_AUTOMATIC_FIRST 1000000u

/*
 * DEVICE_HELLO on a new session: accepts it as a VM or refuses it.  A vm_id is of one connection at
 * a time, the one that came first; it stays taken until the last executor of that connection is gone.
 * May take descriptors out of the message.
 */
void session_device_hello(struct session *session, struct control_message *message);

/* A later message. May take descriptors out of it. */
void session_device_message(struct session *session, struct control_message *message);

/* What a channel of it is opened with, but for descriptors; 'label' must outlive the use of *ret_request. */
void session_device_request(struct session *session, uint32_t index, uint32_t generation, char *label,
			    size_t label_bytes, struct channel_request *ret_request);

#endif
