/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has one of the places for connections.  Addresses cost nothing, so to count them alone would leave all places to
 * who has many: when they are taken, who comes takes the place of who has the most and has had no job for longest, and
 * a quarter is for peers whom the host knows.  Whose job runs keeps his place until it is answered.
 */
#ifndef JOBS_ROOM_H
#define JOBS_ROOM_H

#include <stdbool.h>

struct client;
struct client_plan;
struct jobs;

/* False: there is no place. A '*ret_victim' that is not NULL is to be ended first. */
bool room_find(struct jobs *jobs, const struct client_plan *plan, struct client **ret_victim);

/* The client takes its place, and gives it back. */
void room_enter(struct client *client);
void room_leave(struct client *client);

/* It had a job: now it is the last one to lose its place. */
void room_renew(struct client *client);

#endif
