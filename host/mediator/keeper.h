/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: a process that holds what must survive the mediator, so that a
 * restart leaves executors and their guests at work. It is forked by the first
 * mediator and outlives it; the next one finds it at a socket beside its own and
 * takes over (adoption.h).
 *
 * It knows entries: a kind, a key, some bytes and descriptors. It looks into none,
 * but for the permits among them: while no mediator is there it opens them, so
 * that nobody waits for a scheduler that is away. When none has come for the
 * configured time it ends, and with its descriptors end the executors.
 */
#ifndef MEDIATOR_KEEPER_H
#define MEDIATOR_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEEPER_BLOB_BYTES 512
#define KEEPER_FDS_MAX	  8

enum keeper_kind { KEEPER_SESSION = 1, KEEPER_CHANNEL = 2 };

/* Places among a channel's descriptors that the keeper itself uses. */
#define KEEPER_CHANNEL_PERMIT 0
#define KEEPER_CHANNEL_WAKE   1

struct keeper_entry {
	uint32_t kind;
	uint32_t bytes;
	uint64_t key;
	unsigned char blob[KEEPER_BLOB_BYTES];
	int fds[KEEPER_FDS_MAX]; /* not sent as such */
	uint32_t fd_count;
};

/*
 * The keeper at 'path' that an earlier mediator has left, else a new one; -1 with errno. The first use
 * of *ret_socket after an old one was found is keeper_take() until it says that there is no more.
 */
int keeper_open(const char *path, unsigned grace_seconds, int *ret_socket, bool *ret_found);

/* The next entry, sessions first, whose descriptors are the caller's; false: that was all. */
bool keeper_take(int socket, struct keeper_entry *ret_entry);

/* 'fds' stay the caller's. Errors are the caller's to log: the entry will not survive. 0, or -1 with errno. */
int keeper_put(int socket, const struct keeper_entry *entry);
int keeper_drop(int socket, enum keeper_kind kind, uint64_t key);

/* It lets go of everything and ends. */
void keeper_quit(int socket);

#endif
