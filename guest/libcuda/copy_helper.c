/* SPDX-License-Identifier: Apache-2.0 */
#include "copy_helper.h"

#include <sched.h>
#include <signal.h>
#include <stddef.h>

#include "channel_print.h"

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
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	sigset_t all, before;
	int error;

	if (!processor_is_spare())
		return false;
	helper->run = run;
	helper->argument = argument;
	/* Signals are the program's own threads', but those of the copy's own faults. */
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&helper->thread, NULL, help, helper);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
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
