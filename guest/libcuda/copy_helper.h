/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second thread for one large copy: one thread copies more slowly than the device.  It lives as long as the copy
 * does, so that neither forks nor the program's end ever meet it idle; starting one takes some 50 us.
 */
#ifndef VGPU_COPY_HELPER_H
#define VGPU_COPY_HELPER_H

#include <pthread.h>
#include <stdbool.h>

struct copy_helper {
	pthread_t thread;
	void *(*run)(void *argument);
	void *argument;
	int cancel_state; /* of the caller, before */
};

/*
 * Runs run(argument) in a thread of its own. False: nothing runs; there is no processor for it among those that the
 * caller may use, or no thread. Until copy_helper_join() the caller cannot be cancelled; after it what kernels have
 * printed is the caller's to print (channel_print.h).
 */
bool copy_helper_start(struct copy_helper *helper, void *(*run)(void *argument), void *argument);
void copy_helper_join(struct copy_helper *helper);

#endif
