/* SPDX-License-Identifier: Apache-2.0 */
#include "print_scan.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>

/* What is smaller is looked at sooner than handed over. */
#define SCAN_AT_ONCE_BYTES 16384u
/* Of images that wait. If there are more they are taken to print: the program loads faster than a thread can look. */
#define WAITING_BYTES_MAX (256u << 20)

struct scan {
	STAILQ_ENTRY(scan) link;
	struct print *print;
	struct image image;
};

STAILQ_HEAD(scan_queue, scan);

static struct {
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	struct scan_queue queue;
	size_t waiting_bytes;
	bool has_thread;
} scanner = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.arrived = PTHREAD_COND_INITIALIZER,
	.queue = STAILQ_HEAD_INITIALIZER(scanner.queue),
};

static void image_look(struct print *print, struct image *image)
{
	if (!__atomic_load_n(&print->is_possible, __ATOMIC_RELAXED) && image_may_print(image))
		__atomic_store_n(&print->is_possible, 1, __ATOMIC_RELAXED);
	image_release(image);
}

static void *scanner_run(void *argument)
{
	(void)argument;
	for (;;) {
		struct scan *scan;
		size_t bytes;

		pthread_mutex_lock(&scanner.lock);
		while (STAILQ_EMPTY(&scanner.queue))
			pthread_cond_wait(&scanner.arrived, &scanner.lock);
		scan = STAILQ_FIRST(&scanner.queue);
		STAILQ_REMOVE_HEAD(&scanner.queue, link);
		pthread_mutex_unlock(&scanner.lock);
		bytes = scan->image.staged_bytes;
		image_look(scan->print, &scan->image);
		__atomic_fetch_sub(&scan->print->scans, 1, __ATOMIC_RELEASE);
		free(scan);
		pthread_mutex_lock(&scanner.lock);
		scanner.waiting_bytes -= bytes;
		pthread_mutex_unlock(&scanner.lock);
	}
	return NULL;
}

/* Under the lock. False: there is no thread. */
static bool scanner_start(void)
{
	sigset_t all, before;
	pthread_t thread;

	if (scanner.has_thread)
		return true;
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	scanner.has_thread = pthread_create(&thread, NULL, scanner_run, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (scanner.has_thread)
		pthread_detach(thread);
	return scanner.has_thread;
}

/* False: it cannot be handed over. */
static bool scan_add(struct print *print, struct image *image)
{
	struct scan *scan = malloc(sizeof(*scan));
	bool is_added;

	if (!scan)
		return false;
	*scan = (struct scan){.print = print, .image = *image};
	pthread_mutex_lock(&scanner.lock);
	is_added = scanner.waiting_bytes + image->staged_bytes <= WAITING_BYTES_MAX && scanner_start();
	if (is_added) {
		__atomic_fetch_add(&print->scans, 1, __ATOMIC_RELAXED);
		scanner.waiting_bytes += image->staged_bytes;
		STAILQ_INSERT_TAIL(&scanner.queue, scan, link);
		pthread_cond_signal(&scanner.arrived);
	}
	pthread_mutex_unlock(&scanner.lock);
	if (!is_added)
		free(scan);
	return is_added;
}

void print_scan(struct print *print, struct image *image)
{
	if (__atomic_load_n(&print->is_possible, __ATOMIC_RELAXED)) {
		image_release(image);
		return;
	}
	if (image->staged_bytes <= SCAN_AT_ONCE_BYTES) {
		image_look(print, image);
		return;
	}
	if (scan_add(print, image)) {
		*image = (struct image){0};
		return;
	}
	__atomic_store_n(&print->is_possible, 1, __ATOMIC_RELAXED);
	image_release(image);
}
