/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mediator leaves to the next one (keeper.h): its connections and its
 * running executors. Their peers notice nothing: sockets stay open, and messages
 * that come in between are read by the next mediator.
 *
 * A session is kept from its accepted hello on, a channel from when it is ready
 * until it is lost or closed. What is in between at the moment of a restart ends
 * as it did without a keeper.
 */
#ifndef MEDIATOR_ADOPTION_H
#define MEDIATOR_ADOPTION_H

struct channel;
struct mediator;
struct session;

/* With 'keep' configured: finds a keeper and adopts what it holds, or starts one. */
void adoption_begin(struct mediator *mediator);

void adoption_session_keep(struct session *session);
void adoption_session_forget(struct session *session);
void adoption_channel_keep(struct channel *channel);
void adoption_channel_forget(struct channel *channel);

/* The mediator ends and wants nothing to be left. */
void adoption_quit(struct mediator *mediator);

#endif
