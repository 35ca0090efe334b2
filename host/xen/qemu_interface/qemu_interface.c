/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib-unix.h>
#include <sys/eventfd.h>

#include "qemu/osdep.h"

int event_notifier_init(EventNotifier *notifier, int active)
{
	notifier->fd = eventfd((unsigned int)active, EFD_NONBLOCK | EFD_CLOEXEC);
	return notifier->fd < 0 ? -errno : 0;
}

void event_notifier_cleanup(EventNotifier *notifier)
{
	close(notifier->fd);
	notifier->fd = -1;
}

int event_notifier_set(EventNotifier *notifier)
{
	uint64_t one = 1;
	ssize_t written;

	do
		written = write(notifier->fd, &one, sizeof(one));
	while (written < 0 && errno == EINTR);
	/* EAGAIN: the counter is full, so it is set. */
	return written < 0 && errno != EAGAIN ? -errno : 0;
}

int event_notifier_test_and_clear(EventNotifier *notifier)
{
	uint64_t count;
	ssize_t got;

	do
		got = read(notifier->fd, &count, sizeof(count));
	while (got < 0 && errno == EINTR);
	return got == sizeof(count);
}

/* One watched descriptor; 'source' is GLib's. */
struct watch {
	int fd;
	guint source;
	IOHandler *readable;
	void *opaque;
};

/* By descriptor: struct watch. */
static GHashTable *watches;

static gboolean watch_fired(gint fd, GIOCondition condition, gpointer argument)
{
	struct watch *watch = argument;

	(void)fd;
	(void)condition;
	/* The handler may end the watch. */
	watch->readable(watch->opaque);
	return G_SOURCE_CONTINUE;
}

static void watch_end(gpointer argument)
{
	struct watch *watch = argument;

	g_source_remove(watch->source);
	g_free(watch);
}

void qemu_set_fd_handler(int fd, IOHandler *readable, IOHandler *writable, void *opaque)
{
	struct watch *watch;

	g_assert(!writable);
	if (!watches)
		watches = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, watch_end);
	g_hash_table_remove(watches, GINT_TO_POINTER(fd));
	if (!readable)
		return;
	watch = g_new(struct watch, 1);
	*watch = (struct watch){.fd = fd, .readable = readable, .opaque = opaque};
	watch->source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, watch_fired, watch);
	g_hash_table_insert(watches, GINT_TO_POINTER(fd), watch);
}

struct QEMUTimer {
	guint source; /* 0: not running */
	QEMUTimerCB *callback;
	void *opaque;
};

int64_t qemu_clock_get_ms(QEMUClockType type)
{
	(void)type;
	return g_get_monotonic_time() / 1000;
}

QEMUTimer *timer_new_ms(QEMUClockType type, QEMUTimerCB *callback, void *opaque)
{
	QEMUTimer *timer = g_new0(QEMUTimer, 1);

	(void)type;
	timer->callback = callback;
	timer->opaque = opaque;
	return timer;
}

static gboolean timer_fired(gpointer argument)
{
	QEMUTimer *timer = argument;

	timer->source = 0;
	timer->callback(timer->opaque);
	return G_SOURCE_REMOVE;
}

static void timer_stop(QEMUTimer *timer)
{
	if (timer->source)
		g_source_remove(timer->source);
	timer->source = 0;
}

void timer_mod(QEMUTimer *timer, int64_t expire_ms)
{
	int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

	timer_stop(timer);
	timer->source = g_timeout_add(expire_ms > now ? (guint)(expire_ms - now) : 0, timer_fired, timer);
}

void timer_free(QEMUTimer *timer)
{
	timer_stop(timer);
	g_free(timer);
}
