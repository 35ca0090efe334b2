/* SPDX-License-Identifier: Apache-2.0 */
#include "closer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HANDS_MAX	32
#define BEHIND		256
#define NUDGE_NS	50000000
#define STACK_BYTES	65536
#define DRAINED_MAX	4096
#define IDLE_SECONDS	1      /* then a hand that is not the last one leaves */
#define STOPPING_SIGNAL SIGURG /* nothing happens to a process that gets it and does not expect it */

/*
 * The allocator of gcc's AddressSanitizer takes no locks for a fork, so one that another thread has then stays taken in
 * the child: in such a build a fork waits for the threads, which end none of themselves. Seen with gcc 12.
 */
#ifdef __SANITIZE_ADDRESS__
#define FORKS_COPY_LOCKS true
#else
#define FORKS_COPY_LOCKS false
#endif
#define REST_MS 1000

struct item {
	STAILQ_ENTRY(item) link;
	int descriptor;
	bool is_connection;
};

/* One thread. */
struct hand {
	pthread_t thread;
	bool is_there;
	bool has_begun;
	bool is_busy;
	bool was_busy; /* with the same, when it was last looked at */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t added;
	pthread_cond_t begun; /* a hand has become busy */
	STAILQ_HEAD(, item) queue;
	unsigned waiting;
	struct hand hands[HANDS_MAX];
	unsigned hand_count;
	unsigned idle_count;
	bool has_nudger;
	bool has_nudger_begun;
	bool has_fork_handlers;
} closer = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.added = PTHREAD_COND_INITIALIZER,
	.begun = PTHREAD_COND_INITIALIZER,
	.queue = STAILQ_HEAD_INITIALIZER(closer.queue),
};

static void nothing(int number)
{
	(void)number;
}

static void item_close(const struct item *item)
{
	char byte;

	if (item->is_connection) {
		/* Unread data would make the kernel take from the peer what it was sent. */
		for (int i = 0; i < DRAINED_MAX && recv(item->descriptor, &byte, sizeof(byte), MSG_DONTWAIT) > 0; i++)
			continue;
	}
	close(item->descriptor);
}

/* With the lock. False: nothing has come, and others are there. */
static bool idle_wait(void)
{
	struct timespec end;
	int error = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += IDLE_SECONDS;
	closer.idle_count++;
	if (closer.hand_count == 1)
		pthread_cond_wait(&closer.added, &closer.lock);
	else
		error = pthread_cond_timedwait(&closer.added, &closer.lock, &end);
	closer.idle_count--;
	return error != ETIMEDOUT || !STAILQ_EMPTY(&closer.queue) || closer.hand_count == 1 || FORKS_COPY_LOCKS;
}

static void *hand_run(void *argument)
{
	struct hand *hand = argument;

	pthread_mutex_lock(&closer.lock);
	hand->has_begun = true;
	for (;;) {
		struct item *item = STAILQ_FIRST(&closer.queue);

		if (!item) {
			if (idle_wait())
				continue;
			break;
		}
		STAILQ_REMOVE_HEAD(&closer.queue, link);
		closer.waiting--;
		hand->is_busy = true;
		hand->was_busy = false;
		pthread_cond_signal(&closer.begun);
		pthread_mutex_unlock(&closer.lock);
		item_close(item);
		free(item);
		pthread_mutex_lock(&closer.lock);
		hand->is_busy = false;
	}
	hand->is_there = false;
	closer.hand_count--;
	pthread_mutex_unlock(&closer.lock);
	return NULL;
}

/* Stops what lingers, and what lingers next within the same close. */
static void *nudger_run(void *none)
{
	const struct timespec pause = {.tv_nsec = NUDGE_NS};

	pthread_mutex_lock(&closer.lock);
	closer.has_nudger_begun = true;
	for (;;) {
		bool is_any_busy = false;

		for (unsigned i = 0; i < HANDS_MAX; i++) {
			struct hand *hand = &closer.hands[i];

			if (!hand->is_there || !hand->is_busy)
				continue;
			is_any_busy = true;
			if (hand->was_busy)
				pthread_kill(hand->thread, STOPPING_SIGNAL);
			hand->was_busy = true;
		}
		if (!is_any_busy) {
			pthread_cond_wait(&closer.begun, &closer.lock);
			continue;
		}
		pthread_mutex_unlock(&closer.lock);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&closer.lock);
	}
	return none;
}

static bool thread_start(pthread_t *ret_thread, void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	sigset_t most;
	sigset_t before;
	int error;

	if (pthread_attr_init(&attributes) != 0)
		return false;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&most);
	sigdelset(&most, STOPPING_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &most, &before);
	error = pthread_create(ret_thread, &attributes, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return error == 0;
}

/* One more if all are busy. Without any, what waits stays until there can be one. */
static void hands_look(void)
{
	struct hand *hand = closer.hands;
	const struct sigaction action = {.sa_handler = nothing};
	pthread_t nudger;

	if (!closer.has_nudger && sigaction(STOPPING_SIGNAL, &action, NULL) == 0)
		closer.has_nudger = thread_start(&nudger, nudger_run, NULL);
	if (closer.waiting <= closer.idle_count || closer.hand_count == HANDS_MAX)
		return;
	while (hand->is_there)
		hand++;
	hand->has_begun = false;
	hand->is_busy = false;
	hand->is_there = thread_start(&hand->thread, hand_run, hand);
	closer.hand_count += hand->is_there;
}

/* With the lock: none of the threads is about to begin, or at work. */
static bool threads_rest(void)
{
	bool rest = !closer.has_nudger || closer.has_nudger_begun;

	for (unsigned i = 0; i < HANDS_MAX; i++)
		rest &= !closer.hands[i].is_there || (closer.hands[i].has_begun && !closer.hands[i].is_busy);
	return rest;
}

static void fork_prepare(void)
{
	const struct timespec moment = {.tv_nsec = 1000000};

	pthread_mutex_lock(&closer.lock);
	for (unsigned i = 0; FORKS_COPY_LOCKS && i < REST_MS && !threads_rest(); i++) {
		pthread_mutex_unlock(&closer.lock);
		nanosleep(&moment, NULL);
		pthread_mutex_lock(&closer.lock);
	}
}

static void fork_end(void)
{
	pthread_mutex_unlock(&closer.lock);
}

static void item_add(int descriptor, bool is_connection)
{
	struct item *item = descriptor < 0 ? NULL : malloc(sizeof(*item));

	/* Out of memory it stays open, for it must not be waited for. */
	if (!item)
		return;
	*item = (struct item){.descriptor = descriptor, .is_connection = is_connection};
	pthread_mutex_lock(&closer.lock);
	if (!closer.has_fork_handlers)
		closer.has_fork_handlers = pthread_atfork(fork_prepare, fork_end, fork_end) == 0;
	STAILQ_INSERT_TAIL(&closer.queue, item, link);
	closer.waiting++;
	hands_look();
	pthread_cond_signal(&closer.added);
	pthread_mutex_unlock(&closer.lock);
}

void closer_close(int descriptor)
{
	item_add(descriptor, false);
}

void closer_hang_up(int socket)
{
	if (socket >= 0)
		shutdown(socket, SHUT_RDWR);
	item_add(socket, true);
}

bool closer_is_behind(void)
{
	bool is_behind;

	pthread_mutex_lock(&closer.lock);
	is_behind = closer.waiting >= BEHIND;
	pthread_mutex_unlock(&closer.lock);
	return is_behind;
}

void closer_forget(void)
{
	struct item *item;

	while ((item = STAILQ_FIRST(&closer.queue))) {
		STAILQ_REMOVE_HEAD(&closer.queue, link);
		free(item);
	}
	pthread_mutex_init(&closer.lock, NULL);
	pthread_cond_init(&closer.added, NULL);
	pthread_cond_init(&closer.begun, NULL);
	STAILQ_INIT(&closer.queue);
	memset(closer.hands, 0, sizeof(closer.hands));
	closer.waiting = 0;
	closer.hand_count = 0;
	closer.idle_count = 0;
	closer.has_nudger = false;
}
