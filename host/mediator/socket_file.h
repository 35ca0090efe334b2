/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening socket in the file system: its lock, its file and their rights.
 */
#ifndef MEDIATOR_SOCKET_FILE_H
#define MEDIATOR_SOCKET_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#define SOCKET_FILE_PATH_BYTES 256

struct socket_file {
	char path[SOCKET_FILE_PATH_BYTES];
	int type; /* SOCK_SEQPACKET, unless changed before it is opened */
	mode_t mode;
	char group[64];	 /* empty: "vgpu", where that exists */
	bool is_foreign; /* its directory belongs to somebody who is not trusted: no lock, no links followed */
	int directory;
	int lock;
	int socket; /* listening, non-blocking */
	dev_t device;
	ino_t inode;
};

enum socket_file_result { SOCKET_FILE_OPEN, SOCKET_FILE_IN_USE, SOCKET_FILE_FAILED };

/* 'path' fits; 'group' may be NULL. */
void socket_file_init(struct socket_file *file, const char *path, mode_t mode, const char *group, bool is_foreign);

/* Binds and listens; says in the log what went wrong. */
enum socket_file_result socket_file_open(struct socket_file *file);

/* Closes it, and removes the file if it is still this socket's. May be repeated. */
void socket_file_close(struct socket_file *file);

/* Whether the file is there and this socket's. */
bool socket_file_exists(const struct socket_file *file);

/* Whether the directory that it was made in is still at its place. */
bool socket_file_directory_exists(const struct socket_file *file);

#endif
