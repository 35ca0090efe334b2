/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moved pages that hold other blocks of the heap, or that the forking thread itself uses, while the process forks.
 *
 * The child's C library, and the handlers of other libraries, write to the heap before a handler of ours could give the
 * child pages of its own, and run on a stack, with a thread's data beside it. So these pages are private ones during
 * the fork, and the child has them as it has all others. The shared pages lie elsewhere meanwhile, where the device
 * goes on with them; when they come back they get the bytes that the program has changed in the private ones. Whoever
 * posts a request or gets a reply waits until then (channel_pause()), so no thread asks the device for what it cannot
 * see, or is told of what it does not see itself.
 *
 * By one thread at a time.
 */
#ifndef VGPU_REGISTERED_EDGES_H
#define VGPU_REGISTERED_EDGES_H

#include <stdbool.h>
#include <stdint.h>

#define EDGES_MAX 1024

/*
 * Before the fork: of the page at 'place', and of those between 'start' and 'end' that this thread uses, whatever its
 * stack is; then all of them are set aside. One that cannot be stays as it is. Those in use are added first.
 */
void edge_add(uint8_t *place);
void edges_add_in_use(uint8_t *start, uint8_t *end);
void edges_set_aside(void);

/* Has the child what it uses to itself? */
bool edges_in_use_are_aside(void);

/* The first page from 'start' on that is set aside, or 'end'. */
uint8_t *edge_next(uint8_t *start, uint8_t *end);

/* After it, in the parent and in the child. */
void edges_bring_back(void);
void edges_forget(void);

#endif
