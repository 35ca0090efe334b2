/* SPDX-License-Identifier: Apache-2.0 */
#include "cleaner.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* About 2 ms of the kernel's time. */
#define PIECE_BYTES (4u << 20)

TAILQ_HEAD(cleaning_list, cleaning);

struct worker {
	struct cleaner *cleaner;
	pthread_t thread;
	bool is_running;
	/* Under the cleaner's lock; only the worker takes something out. */
	struct cleaning_list queue;
	pthread_cond_t added;
	uint64_t turns;
};

struct cleaner {
	pthread_mutex_t lock;
	bool is_ending;
	struct cleaning_list done;
	int bell; /* an eventfd: something is done */
	struct event *rung;
	struct worker holes;
	struct worker closes;
};

/* Of him who was served the longest time ago; of those of one, the first. Under the lock. */
static struct cleaning *next_choose(struct worker *worker)
{
	struct cleaning *chosen = NULL;
	struct cleaning *cleaning;

	TAILQ_FOREACH(cleaning, &worker->queue, link)
	{
		if (!chosen || cleaning->served < chosen->served)
			chosen = cleaning;
	}
	if (!chosen)
		return NULL;
	worker->turns++;
	TAILQ_FOREACH(cleaning, &worker->queue, link)
	{
		if (cleaning->whose == chosen->whose)
			cleaning->served = worker->turns;
	}
	return chosen;
}

/* True: it is done. */
static bool piece_clean(struct cleaning *cleaning)
{
	uint64_t bytes = cleaning->bytes < PIECE_BYTES ? cleaning->bytes : PIECE_BYTES;

	if (cleaning->closes) {
		close(cleaning->memory);
		return true;
	}
	/* A hole in a memory file reads as zeroes, and its pages are the host's again. */
	if (bytes && fallocate(cleaning->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)cleaning->offset,
			       (off_t)bytes) < 0) {
		cleaning->error = errno;
		return errno != EINTR;
	}
	cleaning->error = 0;
	cleaning->offset += bytes;
	cleaning->bytes -= bytes;
	return cleaning->bytes == 0;
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;
	struct cleaner *cleaner = worker->cleaner;

	pthread_mutex_lock(&cleaner->lock);
	while (!cleaner->is_ending) {
		struct cleaning *cleaning = next_choose(worker);
		bool is_done;

		if (!cleaning) {
			pthread_cond_wait(&worker->added, &cleaner->lock);
			continue;
		}
		pthread_mutex_unlock(&cleaner->lock);
		is_done = piece_clean(cleaning);
		pthread_mutex_lock(&cleaner->lock);
		if (!is_done)
			continue;
		TAILQ_REMOVE(&worker->queue, cleaning, link);
		TAILQ_INSERT_TAIL(&cleaner->done, cleaning, link);
		eventfd_write(cleaner->bell, 1);
	}
	pthread_mutex_unlock(&cleaner->lock);
	return NULL;
}

static struct cleaning *done_take(struct cleaner *cleaner)
{
	struct cleaning *cleaning;

	pthread_mutex_lock(&cleaner->lock);
	cleaning = TAILQ_FIRST(&cleaner->done);
	if (cleaning)
		TAILQ_REMOVE(&cleaner->done, cleaning, link);
	pthread_mutex_unlock(&cleaner->lock);
	return cleaning;
}

static void bell_rung(evutil_socket_t bell, short what, void *argument)
{
	struct cleaner *cleaner = argument;
	struct cleaning *cleaning;
	eventfd_t count;

	(void)what;
	eventfd_read(bell, &count);
	while ((cleaning = done_take(cleaner)))
		cleaning->done(cleaning->owner, cleaning->error);
}

static int worker_start(struct cleaner *cleaner, struct worker *worker)
{
	sigset_t all;
	sigset_t before;
	int error;

	worker->cleaner = cleaner;
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&worker->thread, NULL, worker_run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	worker->is_running = !error;
	errno = error;
	return error ? -1 : 0;
}

static void worker_stop(struct worker *worker)
{
	if (!worker->is_running)
		return;
	pthread_mutex_lock(&worker->cleaner->lock);
	worker->cleaner->is_ending = true;
	pthread_cond_signal(&worker->added);
	pthread_mutex_unlock(&worker->cleaner->lock);
	pthread_join(worker->thread, NULL);
}

struct cleaner *cleaner_create(struct event_base *base)
{
	struct cleaner *cleaner = calloc(1, sizeof(*cleaner));
	int error;

	if (!cleaner)
		return NULL;
	pthread_mutex_init(&cleaner->lock, NULL);
	pthread_cond_init(&cleaner->holes.added, NULL);
	pthread_cond_init(&cleaner->closes.added, NULL);
	TAILQ_INIT(&cleaner->done);
	TAILQ_INIT(&cleaner->holes.queue);
	TAILQ_INIT(&cleaner->closes.queue);
	cleaner->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (cleaner->bell < 0)
		goto fail;
	errno = ENOMEM;
	cleaner->rung = event_new(base, cleaner->bell, EV_READ | EV_PERSIST, bell_rung, cleaner);
	if (!cleaner->rung || event_add(cleaner->rung, NULL) < 0)
		goto fail;
	if (worker_start(cleaner, &cleaner->holes) < 0 || worker_start(cleaner, &cleaner->closes) < 0)
		goto fail;
	return cleaner;
fail:
	error = errno;
	cleaner_destroy(cleaner);
	errno = error;
	return NULL;
}

void cleaner_add(struct cleaner *cleaner, struct cleaning *cleaning)
{
	struct worker *worker = cleaning->closes ? &cleaner->closes : &cleaner->holes;

	pthread_mutex_lock(&cleaner->lock);
	cleaning->error = 0;
	/* Behind all that wait already. */
	cleaning->served = worker->turns;
	TAILQ_INSERT_TAIL(&worker->queue, cleaning, link);
	pthread_cond_signal(&worker->added);
	pthread_mutex_unlock(&cleaner->lock);
}

void cleaner_destroy(struct cleaner *cleaner)
{
	if (!cleaner)
		return;
	worker_stop(&cleaner->holes);
	worker_stop(&cleaner->closes);
	if (cleaner->rung)
		event_free(cleaner->rung);
	if (cleaner->bell >= 0)
		close(cleaner->bell);
	pthread_cond_destroy(&cleaner->closes.added);
	pthread_cond_destroy(&cleaner->holes.added);
	pthread_mutex_destroy(&cleaner->lock);
	free(cleaner);
}
