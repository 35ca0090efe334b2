/* SPDX-License-Identifier: Apache-2.0 */
#include "own_thread.h"

#include <signal.h>
#include <stddef.h>

bool own_thread_start(void *(*run)(void *argument), void *argument, pthread_t *ret_thread)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	sigset_t all, before;
	int error;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(ret_thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error == 0;
}
