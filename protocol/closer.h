/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing what others have given or may have put into, on threads of its own: close() waits for as long as they like.
 *
 * A socket of TCP with SO_LINGER and bytes that nobody takes waits for its time, and so does the close of a socket of
 * ours in whose queue, or in the queue of one in whose queue, such a one is; a file of FUSE waits for its server. What
 * lingers is cut short by a signal (SIGURG, whose handler is set here). What that does not help against keeps its
 * thread; there are few, and what comes when none is left waits: then closer_is_behind(), and whoever accepts
 * connections leaves them where they are until it is not.
 *
 * Any thread may call these; none of them waits.
 */
#ifndef VGPU_CLOSER_H
#define VGPU_CLOSER_H

#include <stdbool.h>

/* Takes the descriptor over; -1 is accepted. */
void closer_close(int descriptor);

/*
 * The same for a connection, whose peer sees the end of it at once, and still gets what it was sent: what it has sent
 * itself is read away first.
 */
void closer_hang_up(int socket);

bool closer_is_behind(void);

/* In a child that goes on without exec, which has none of the threads, nor the descriptors that waited (starter.h). */
void closer_forget(void);

#endif
