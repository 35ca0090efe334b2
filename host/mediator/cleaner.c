/* SPDX-License-Identifier: Apache-2.0 */
#include "cleaner.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* About 2 ms of the kernel's time. */
#define PIECE_BYTES (4u << 20)

/* Of those that make holes: as many can be held up by whoever holds his file's lock, before others wait. */
#define HOLE_THREADS_MAX  32
#define CLOSE_THREADS_MAX 4
#define END_SECONDS	  2
#define IDLE_SECONDS	  1 /* then a thread that is not its crew's last one leaves */

TAILQ_HEAD(cleaning_list, cleaning);

/* A queue and the threads that serve it, as many as it needs. */
struct crew {
	struct cleaner *cleaner;
	unsigned threads_max;
	/* Under the cleaner's lock. */
	unsigned thread_count;
	unsigned idle_count;
	unsigned wakings; /* of idle ones, which have not seen it yet */
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
	pthread_cond_t left; /* a thread */
	unsigned thread_count;
	struct crew holes;
	struct crew closes;
};

/*
 * Of him who was served the longest time ago; of those of one, the first. One thread at most serves one, so that his
 * lock holds up no second. Under the lock.
 */
static struct cleaning *next_choose(struct crew *crew)
{
	struct cleaning *chosen = NULL;
	struct cleaning *cleaning;

	TAILQ_FOREACH(cleaning, &crew->queue, link)
	{
		if (!cleaning->is_held && (!chosen || cleaning->served < chosen->served))
			chosen = cleaning;
	}
	if (!chosen)
		return NULL;
	crew->turns++;
	TAILQ_FOREACH(cleaning, &crew->queue, link)
	{
		if (cleaning->whose != chosen->whose)
			continue;
		cleaning->served = crew->turns;
		cleaning->is_held = true;
	}
	return chosen;
}

static bool owner_is_served(const struct crew *crew, const void *whose)
{
	const struct cleaning *cleaning;

	TAILQ_FOREACH(cleaning, &crew->queue, link)
	{
		if (cleaning->whose == whose)
			return cleaning->is_held;
	}
	return false;
}

static void owner_release(struct crew *crew, const void *whose)
{
	struct cleaning *cleaning;

	TAILQ_FOREACH(cleaning, &crew->queue, link)
	{
		if (cleaning->whose == whose)
			cleaning->is_held = false;
	}
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

static void done_tell(struct cleaner *cleaner, struct cleaning *cleaning)
{
	TAILQ_INSERT_TAIL(&cleaner->done, cleaning, link);
	eventfd_write(cleaner->bell, 1);
}

/* False: nothing has come, and others are there. */
static bool idle_wait(struct crew *crew)
{
	struct timespec end;
	int error = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += IDLE_SECONDS;
	crew->idle_count++;
	while (!crew->wakings && !crew->cleaner->is_ending && !(error && crew->thread_count > 1)) {
		if (crew->thread_count == 1)
			pthread_cond_wait(&crew->added, &crew->cleaner->lock);
		else
			error = pthread_cond_timedwait(&crew->added, &crew->cleaner->lock, &end);
	}
	/* Who wakes one has counted it as idle no more. */
	if (crew->wakings) {
		crew->wakings--;
		return true;
	}
	crew->idle_count--;
	return false;
}

static void *thread_run(void *argument)
{
	struct crew *crew = argument;
	struct cleaner *cleaner = crew->cleaner;

	pthread_mutex_lock(&cleaner->lock);
	while (!cleaner->is_ending) {
		struct cleaning *cleaning = next_choose(crew);
		struct cleaning piece;
		bool is_done;

		if (!cleaning) {
			if (idle_wait(crew))
				continue;
			break;
		}
		piece = *cleaning;
		pthread_mutex_unlock(&cleaner->lock);
		is_done = piece_clean(&piece);
		pthread_mutex_lock(&cleaner->lock);
		/* Nobody keeps it then. */
		if (cleaner->is_ending)
			break;
		cleaning->offset = piece.offset;
		cleaning->bytes = piece.bytes;
		cleaning->error = piece.error;
		owner_release(crew, cleaning->whose);
		if (!is_done)
			continue;
		TAILQ_REMOVE(&crew->queue, cleaning, link);
		done_tell(cleaner, cleaning);
	}
	crew->thread_count--;
	cleaner->thread_count--;
	pthread_cond_signal(&cleaner->left);
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

/* Under the lock. 0, or -1 with errno. */
static int thread_start(struct crew *crew)
{
	pthread_t thread;
	sigset_t all;
	sigset_t before;
	int error;

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, thread_run, crew);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		errno = error;
		return -1;
	}
	pthread_detach(thread);
	crew->thread_count++;
	crew->cleaner->thread_count++;
	return 0;
}

static int crew_init(struct cleaner *cleaner, struct crew *crew, unsigned threads_max)
{
	int result;

	*crew = (struct crew){.cleaner = cleaner, .threads_max = threads_max};
	pthread_cond_init(&crew->added, NULL);
	TAILQ_INIT(&crew->queue);
	pthread_mutex_lock(&cleaner->lock);
	result = thread_start(crew);
	pthread_mutex_unlock(&cleaner->lock);
	return result;
}

/* False: one is held up inside the kernel, and stays. */
static bool threads_end(struct cleaner *cleaner)
{
	struct timespec end;
	bool are_gone;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += END_SECONDS;
	pthread_mutex_lock(&cleaner->lock);
	cleaner->is_ending = true;
	pthread_cond_broadcast(&cleaner->holes.added);
	pthread_cond_broadcast(&cleaner->closes.added);
	while (cleaner->thread_count && pthread_cond_timedwait(&cleaner->left, &cleaner->lock, &end) == 0)
		continue;
	are_gone = cleaner->thread_count == 0;
	pthread_mutex_unlock(&cleaner->lock);
	return are_gone;
}

struct cleaner *cleaner_create(struct event_base *base)
{
	struct cleaner *cleaner = calloc(1, sizeof(*cleaner));
	int error;

	if (!cleaner)
		return NULL;
	pthread_mutex_init(&cleaner->lock, NULL);
	pthread_cond_init(&cleaner->left, NULL);
	TAILQ_INIT(&cleaner->done);
	cleaner->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (cleaner->bell < 0)
		goto fail;
	errno = ENOMEM;
	cleaner->rung = event_new(base, cleaner->bell, EV_READ | EV_PERSIST, bell_rung, cleaner);
	if (!cleaner->rung || event_add(cleaner->rung, NULL) < 0)
		goto fail;
	if (crew_init(cleaner, &cleaner->holes, HOLE_THREADS_MAX) < 0 ||
	    crew_init(cleaner, &cleaner->closes, CLOSE_THREADS_MAX) < 0)
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
	struct crew *crew = cleaning->closes ? &cleaner->closes : &cleaner->holes;

	pthread_mutex_lock(&cleaner->lock);
	cleaning->error = 0;
	if (!cleaning->closes && !cleaning->bytes) {
		done_tell(cleaner, cleaning);
		goto done;
	}
	/* Behind all that wait already. */
	cleaning->served = crew->turns;
	cleaning->is_held = owner_is_served(crew, cleaning->whose);
	TAILQ_INSERT_TAIL(&crew->queue, cleaning, link);
	if (crew->idle_count) {
		crew->idle_count--;
		crew->wakings++;
		pthread_cond_signal(&crew->added);
	} else if (crew->thread_count < crew->threads_max) {
		/* Without another it waits for those that are there. */
		(void)thread_start(crew);
	}
done:
	pthread_mutex_unlock(&cleaner->lock);
}

void cleaner_destroy(struct cleaner *cleaner)
{
	bool are_gone;

	if (!cleaner)
		return;
	are_gone = threads_end(cleaner);
	if (cleaner->rung)
		event_free(cleaner->rung);
	/* The process is to end: who stays inside the kernel until then keeps what he needs. */
	if (!are_gone)
		return;
	if (cleaner->bell >= 0)
		close(cleaner->bell);
	pthread_cond_destroy(&cleaner->left);
	pthread_mutex_destroy(&cleaner->lock);
	free(cleaner);
}
