/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror_faults.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "faults.h"
#include "own_thread.h"

static void *touches_serve(void *argument)
{
	struct fault fault;
	bool has_complained = false;

	(void)argument;
	while (faults_next(&fault)) {
		CUresult result = mirror_touch_serve(&fault);

		if (!result)
			continue;
		/* The program does not hear of it in another way. */
		if (!has_complained)
			fprintf(stderr,
				"vgpu-cuda: managed memory at 0x%" PRIx64 " cannot be read any more: error %d\n",
				fault.address, (int)result);
		has_complained = true;
		mirror_touch_refuse(&fault);
	}
	return NULL;
}

bool mirror_faults_start(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static bool has_thread;
	pthread_t thread;
	bool started;

	pthread_mutex_lock(&mutex);
	if (!has_thread && own_thread_start(touches_serve, NULL, &thread)) {
		pthread_detach(thread);
		has_thread = true;
	}
	started = has_thread;
	pthread_mutex_unlock(&mutex);
	return started;
}
