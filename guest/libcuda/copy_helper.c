/* SPDX-License-Identifier: Apache-2.0 */
#include "copy_helper.h"

#include <sched.h>

#include "channel_print.h"
#include "own_thread.h"

/* Asked each time: a thread may have been bound to one processor since the last. More than the mask holds is enough. */
static bool processor_is_spare(void)
{
	cpu_set_t allowed;

	return sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) > 1;
}

static void *help(void *argument)
{
	const struct copy_helper *helper = argument;

	channel_print_leave();
	return helper->run(helper->argument);
}

bool copy_helper_start(struct copy_helper *helper, void *(*run)(void *argument), void *argument)
{
	if (!processor_is_spare())
		return false;
	helper->run = run;
	helper->argument = argument;
	if (!own_thread_start(help, helper, &helper->thread))
		return false;
	/* The copy is on the caller's stack. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &helper->cancel_state);
	return true;
}

void copy_helper_join(struct copy_helper *helper)
{
	pthread_join(helper->thread, NULL);
	pthread_setcancelstate(helper->cancel_state, NULL);
}
