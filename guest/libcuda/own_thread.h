/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the library's own. */
#ifndef VGPU_OWN_THREAD_H
#define VGPU_OWN_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/*
 * Starts one, which the caller joins or detaches. No signal of the program comes to it but for what it does itself:
 * functions and memory of the program may fault there, and be helped by its handlers. False: there is none.
 */
bool own_thread_start(void *(*run)(void *argument), void *argument, pthread_t *ret_thread);

#endif
