/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Catching the first touches of pages of this process: userfaultfd(2), with
 * write protection (Linux 5.7).  A thread that touches such a page waits until
 * another one has filled it, or has let it write.  Where the process may, the kernel's own
 * accesses (read(2) into the memory, say) wait like that, too; else they fail with EFAULT.
 *
 * Addresses and sizes are of whole pages.  Any thread may call; faults_next() is for one thread.
 */
#ifndef VGPU_FAULTS_H
#define VGPU_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fault {
	uint64_t address; /* of the page */
	bool is_write;
	bool is_of_protection; /* the page is there, and may not be written */
};

/* Begins, once in the process. False: the kernel has it not, or this process may not. */
bool faults_open(void);

/* Do the kernel's own accesses wait, too? */
bool faults_reach_kernel(void);

/* From now on, until the mapping goes, touches of its pages that are not there are caught. Private anonymous memory. */
bool faults_watch(void *memory, size_t bytes);

/* Fills pages that are not there, all at once, and lets go on who waits for them. False: the memory has gone. */
bool faults_fill(void *memory, const void *from, size_t bytes, bool is_writable);

/* A page of zeros, if there is none. */
void faults_fill_zero(void *page, size_t bytes);

/* Of pages that are there, whether writes are caught; when they are not any more, who waits goes on. */
bool faults_protect(void *memory, size_t bytes, bool is_protected);

/* Who waits for the pages tries again. */
void faults_wake(void *memory, size_t bytes);

/* Waits for the next. False: there will be none. */
bool faults_next(struct fault *ret_fault);

#endif
