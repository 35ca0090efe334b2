/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting processes that have no descriptor but those that they are given.
 *
 * A descriptor that a peer has sent may be of a file of FUSE, and each close of one waits for its server. A child that
 * inherits it waits in its first close_range() or exec. So children are made by a thread that has a table of
 * descriptors of its own since before any peer was listened to: 0 to 2, and a socket of ours. What a child is given
 * waits in a socket that this thread only hands on, for closing it must not wait either.
 */
#ifndef VGPU_STARTER_H
#define VGPU_STARTER_H

#include <stddef.h>
#include <sys/types.h>

#define STARTER_DESCRIPTORS_MAX 4

/*
 * What the child does, with 'argument' as it was when it was made. Returning ends it with code 0. Descriptors are
 * close-on-exec; where -1 was given there is -1, and all are if they could not be taken over.
 */
typedef void starter_child(void *argument, const int descriptors[STARTER_DESCRIPTORS_MAX]);

/* Once, before there are descriptors of others. 0, or -1 with errno. */
int starter_open(void);

/*
 * Makes a child that has copies of 'count' descriptors; they stay the caller's. All signals are blocked in it, for the
 * handlers are still the caller's. The signal of its parent's death comes when the whole process ends. Its number, or
 * -1 with errno. For one thread only, which waits for the fork, and where 64 children before it have not been scheduled
 * yet for one of them.
 */
pid_t starter_start(starter_child *child, void *argument, const int *descriptors, size_t count);

#endif
