/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves whole pages of the program's memory into shared memory and back, at their
 * address and with their content.
 *
 * The first and the last page hold what is not the caller's, such as other
 * blocks of malloc, and any thread may write anywhere meanwhile: a piece is copied
 * and takes its place while the other threads stand still (standstill.h), so no
 * write is lost.  Between pieces they run. The caller stands still as well, so
 * the memory may be on its stack.
 *
 * The child of a fork has pages of its own, as it would have without the move:
 * copies, made just before.  What another thread of the parent writes between
 * that and the fork itself is not in them.  Pages that hold other blocks of the
 * heap, and those of the thread's own stack, are private during the fork itself
 * (registered_edges.h).
 */
#ifndef VGPU_REGISTERED_MOVE_H
#define VGPU_REGISTERED_MOVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Are the pages of the range private memory without a file or variables, all of them, and do only threads of the
 * program write there? No: where the process has memory that hardware (VmPin) or the kernel's asynchronous operations
 * may know by its pages. *ret_has_neighbours: the first or last page may hold what other parts of the process
 * allocated.
 */
bool move_is_possible(uint64_t address, uint64_t bytes, bool *ret_has_neighbours);

/*
 * Puts the shared memory that is mapped at 'spare' in the place of what lies at 'place', which it then holds.
 * The mapping at 'spare' is used up, also by a failure. false: the program's memory is as it was. 'has_no_futexes': the
 * shared memory is a device's, where the kernel knows only futexes of one process; no thread's control block goes
 * there.
 */
bool move_out(void *place, void *spare, size_t bytes, bool has_neighbours, bool has_no_futexes);

/*
 * The opposite, into private memory, of what a move_out() has put there. false: shared pages are still there, for it
 * cannot be done now, or the program has unmapped some of them. What it has unmapped altogether is not there.
 */
bool move_back(void *place, size_t bytes);

#endif
