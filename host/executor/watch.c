/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#define STACK_BYTES (64u << 10)

static void *watch_run(void *argument)
{
	/* Nothing is asked for: a hang-up is always reported. */
	struct pollfd control = {.fd = (int)(intptr_t)argument, .events = POLLRDHUP};

	for (;;) {
		if (poll(&control, 1, -1) > 0)
			_exit(0);
	}
}

int watch_start(int control)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error = pthread_attr_init(&attributes);

	if (error)
		return -error;
	error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (!error)
		error = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (!error)
		error = pthread_create(&thread, &attributes, watch_run, (void *)(intptr_t)control);
	pthread_attr_destroy(&attributes);
	return -error;
}
