/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an executor rings. It is an eventfd that the executor has too, so it is never read here (wakeup.h): libevent
 * tells each change of it. Each executor has its own, so that none can take another's rings away or fill it up.
 *
 * A tenant's executors ring twice in a turn, and turns are not shorter than some 100 us; one that was taken over may
 * ring all the time. Beyond what honest ones need they are answered once in a period, so that the loop is not theirs.
 */
#include <errno.h>
#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "scheduler_private.h"

#define PERIOD_NS 1000000u
#define RINGS_MAX 64 /* of a tenant in a period */

/* True: the tenant has rung too often; how long its bells are not listened to. */
static bool is_too_often(struct tenant *tenant, struct timeval *ret_pause)
{
	uint64_t now = scheduler_now();

	if (now - tenant->rings_since_ns >= PERIOD_NS) {
		tenant->rings_since_ns = now;
		tenant->rings = 0;
	}
	*ret_pause = (struct timeval){.tv_usec = (suseconds_t)((tenant->rings_since_ns + PERIOD_NS - now) / 1000) + 1};
	return tenant->rings++ >= RINGS_MAX;
}

static void process_answer(struct scheduler_process *process)
{
	struct scheduler *scheduler;

	/* It may move the process, but ends none. */
	schedulers_regroup(process->share->scheduler->mediator);
	scheduler = process->share->scheduler;
	scheduler_turn(scheduler);
	scheduler_overdue_end(scheduler);
}

static void bell_rung(evutil_socket_t none, short what, void *argument)
{
	struct scheduler_process *process = argument;
	struct timeval pause;

	(void)none;
	(void)what;
	if (!is_too_often(process->share->tenant, &pause)) {
		process_answer(process);
		return;
	}
	event_del(process->bell.rung);
	event_add(process->bell.pause, &pause);
}

/* Whatever was rung meanwhile is reported as one more ring. */
static void pause_over(evutil_socket_t none, short what, void *argument)
{
	struct scheduler_process *process = argument;

	(void)none;
	(void)what;
	event_add(process->bell.rung, NULL);
}

int scheduler_bell_open(struct scheduler_process *process, struct mediator *mediator, int descriptor)
{
	struct scheduler_bell *bell = &process->bell;

	*bell = (struct scheduler_bell){.descriptor = descriptor};
	if (bell->descriptor < 0)
		bell->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bell->descriptor < 0)
		return -1;
	bell->rung = event_new(mediator->base, bell->descriptor, EV_READ | EV_ET | EV_PERSIST, bell_rung, process);
	bell->pause = evtimer_new(mediator->base, pause_over, process);
	if (bell->rung && bell->pause && event_add(bell->rung, NULL) == 0)
		return 0;
	scheduler_bell_close(bell);
	errno = ENOMEM;
	return -1;
}

void scheduler_bell_close(struct scheduler_bell *bell)
{
	if (bell->rung)
		event_free(bell->rung);
	if (bell->pause)
		event_free(bell->pause);
	if (bell->descriptor >= 0)
		close(bell->descriptor);
	*bell = (struct scheduler_bell){.descriptor = -1};
}
