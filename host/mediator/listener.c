/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "closer.h"
#include "executor_user.h"
#include "log.h"
#include "mediator.h"
#include "session.h"
#include "socket_file.h"
#include "vgpu_control.h"

#define XEN_DIRECTORY	       "/var/xen/qemu"
#define XEN_SOCKET_NAME	       "tmp/vgpu-mediator.sock"
#define MODE_ALL	       0666
#define MODE_GROUP	       0660
#define ACCEPTS_PER_WAKEUP_MAX 16

struct listener {
	LIST_ENTRY(listener) link;
	struct listeners *set;
	bool is_xen;
	bool devices_by_all; /* whoever can connect may be a VM */
	struct socket_file file;
	struct event *readable;
	struct event *pause; /* out of descriptors, or of who closes them: tries again later */
};

struct listeners {
	struct mediator *mediator;
	LIST_HEAD(, listener) all;
	int inotify; /* -1: none, the heartbeat finds changes */
	struct event *changed;
	char xen_directory[PATH_MAX];
};

static struct log_limit accept_log = LOG_LIMIT(1, 5);

static bool peer_may_be_device(const struct listener *listener, const struct ucred *peer)
{
	const struct mediator *mediator = listener->set->mediator;

	/* An executor has no business here: a hostile guest that took one over could pose as another VM. */
	if (executor_user_is(mediator, peer->uid))
		return false;
	if (listener->devices_by_all || peer->uid == 0 || peer->uid == geteuid())
		return true;
	for (size_t i = 0; i < mediator->device_user_count; i++) {
		if (mediator->device_users[i] == peer->uid)
			return true;
	}
	return false;
}

static void listener_pause(struct listener *listener, const char *why)
{
	const struct timeval later = {.tv_sec = 1};

	log_write_limited(&accept_log, LOG_LEVEL_ERROR, "[SOCKET] %s: cannot accept: %s", listener->file.path, why);
	event_del(listener->readable);
	event_add(listener->pause, &later);
}

/* False when there is none to accept now. */
static bool connection_accept(struct listener *listener)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);
	int socket;

	if (closer_is_behind()) {
		listener_pause(listener, "too many descriptors that peers have sent are still being closed");
		return false;
	}
	socket = accept4(listener->file.socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (socket < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			listener_pause(listener, strerror(errno));
		return errno == EINTR || errno == ECONNABORTED;
	}
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0) {
		log_write_limited(&accept_log, LOG_LEVEL_ERROR, "[SOCKET] no credentials: %s", strerror(errno));
		closer_hang_up(socket);
		return true;
	}
	session_accept(listener->set->mediator, socket, &peer, peer_may_be_device(listener, &peer));
	return true;
}

static void socket_readable(evutil_socket_t socket, short what, void *argument)
{
	(void)socket;
	(void)what;
	for (int i = 0; i < ACCEPTS_PER_WAKEUP_MAX && connection_accept(argument); i++)
		continue;
}

static void pause_ended(evutil_socket_t none, short what, void *argument)
{
	struct listener *listener = argument;

	(void)none;
	(void)what;
	event_add(listener->readable, NULL);
}

static void listener_stop(struct listener *listener)
{
	if (listener->readable)
		event_free(listener->readable);
	listener->readable = NULL;
	if (listener->pause)
		event_del(listener->pause);
	socket_file_close(&listener->file);
}

static void listener_destroy(struct listener *listener)
{
	listener_stop(listener);
	if (listener->pause)
		event_free(listener->pause);
	LIST_REMOVE(listener, link);
	free(listener);
}

static enum listeners_result listener_start(struct listener *listener)
{
	struct event_base *base = listener->set->mediator->base;
	enum socket_file_result result = socket_file_open(&listener->file);

	if (result != SOCKET_FILE_OPEN)
		return result == SOCKET_FILE_IN_USE ? LISTENERS_IN_USE : LISTENERS_FAILED;
	if (!listener->pause)
		listener->pause = evtimer_new(base, pause_ended, listener);
	listener->readable = event_new(base, listener->file.socket, EV_READ | EV_PERSIST, socket_readable, listener);
	if (!listener->pause || !listener->readable || event_add(listener->readable, NULL) < 0) {
		log_error("[SOCKET] %s: out of memory", listener->file.path);
		listener_stop(listener);
		return LISTENERS_FAILED;
	}
	log_info("Listening on socket: %s", listener->file.path);
	return LISTENERS_OPEN;
}

static enum listeners_result listener_add(struct listeners *set, const char *path, bool is_xen)
{
	const struct configuration *configuration = &set->mediator->configuration;
	struct listener *listener = calloc(1, sizeof(*listener));
	enum listeners_result result;
	mode_t mode = is_xen || strcmp(path, VGPU_SOCKET_PATH_FALLBACK) == 0 ? MODE_ALL : MODE_GROUP;

	if (configuration->socket_mode != 0)
		mode = configuration->socket_mode;
	if (!listener || strlen(path) >= sizeof(listener->file.path)) {
		log_error("[SOCKET] %s: %s", path, listener ? "the path is too long" : "out of memory");
		free(listener);
		return LISTENERS_FAILED;
	}
	listener->set = set;
	listener->is_xen = is_xen;
	listener->devices_by_all = is_xen || (mode & S_IWOTH) == 0;
	socket_file_init(&listener->file, path, mode, configuration->socket_group, is_xen);
	LIST_INSERT_HEAD(&set->all, listener, link);
	result = listener_start(listener);
	if (result != LISTENERS_OPEN)
		listener_destroy(listener);
	return result;
}

static bool listener_is_there(const struct listeners *set, const char *path)
{
	const struct listener *listener;

	LIST_FOREACH(listener, &set->all, link)
	{
		if (strcmp(listener->file.path, path) == 0)
			return true;
	}
	return false;
}

static void xen_sockets_find(struct listeners *set)
{
	DIR *directory = opendir(set->xen_directory);
	const struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		char path[PATH_MAX + 320];
		char parent[PATH_MAX + 320];
		struct stat status;

		if (strncmp(entry->d_name, "root-", 5) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", set->xen_directory, entry->d_name);
		/* Its tmp may be made later; watching again what is watched changes nothing. */
		if (set->inotify >= 0)
			inotify_add_watch(set->inotify, path, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
		snprintf(parent, sizeof(parent), "%s/%s/tmp", set->xen_directory, entry->d_name);
		snprintf(path, sizeof(path), "%s/%s/%s", set->xen_directory, entry->d_name, XEN_SOCKET_NAME);
		if (lstat(parent, &status) == 0 && S_ISDIR(status.st_mode) && !listener_is_there(set, path))
			listener_add(set, path, true);
	}
	if (directory)
		closedir(directory);
}

void listeners_check(struct listeners *set)
{
	struct listener *listener = LIST_FIRST(&set->all);

	while (listener) {
		struct listener *next = LIST_NEXT(listener, link);

		if (listener->is_xen && !socket_file_directory_exists(&listener->file)) {
			log_info("[SOCKET] %s is gone", listener->file.path);
			listener_destroy(listener);
		} else if (!socket_file_exists(&listener->file)) {
			log_warning("[SOCKET] %s was removed by somebody", listener->file.path);
			listener_stop(listener);
			listener_start(listener);
		}
		listener = next;
	}
	xen_sockets_find(set);
}

static void directory_changed(evutil_socket_t inotify, short what, void *argument)
{
	char events[4096];

	(void)what;
	/* What happened does not matter: everything is looked at again. */
	while (read(inotify, events, sizeof(events)) > 0)
		continue;
	listeners_check(argument);
}

static void xen_watch(struct listeners *set)
{
	set->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (set->inotify < 0)
		return;
	set->changed = event_new(set->mediator->base, set->inotify, EV_READ | EV_PERSIST, directory_changed, set);
	if (set->changed)
		event_add(set->changed, NULL);
	inotify_add_watch(set->inotify, set->xen_directory,
			  IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_ONLYDIR);
}

static enum listeners_result usual_sockets_open(struct listeners *set)
{
	static const char *const places[] = {VGPU_SOCKET_PATH, VGPU_SOCKET_PATH_FALLBACK};
	char directory[] = VGPU_SOCKET_PATH;
	unsigned open_count = 0;

	if (mkdir(dirname(directory), 0755) < 0 && errno != EEXIST)
		log_warning("[SOCKET] %s: %s", directory, strerror(errno));
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		enum listeners_result result = listener_add(set, places[i], false);

		if (result == LISTENERS_IN_USE)
			return result;
		open_count += result == LISTENERS_OPEN;
	}
	return open_count > 0 ? LISTENERS_OPEN : LISTENERS_FAILED;
}

enum listeners_result listeners_open(struct mediator *mediator, struct listeners **ret_listeners)
{
	const struct configuration *configuration = &mediator->configuration;
	struct listeners *set = calloc(1, sizeof(*set));
	enum listeners_result result = LISTENERS_OPEN;

	if (!set)
		return LISTENERS_FAILED;
	set->mediator = mediator;
	set->inotify = -1;
	snprintf(set->xen_directory, sizeof(set->xen_directory), "%s",
		 configuration->xen_directory ? configuration->xen_directory : XEN_DIRECTORY);
	if (configuration->sockets.count == 0)
		result = usual_sockets_open(set);
	for (size_t i = 0; i < configuration->sockets.count && result == LISTENERS_OPEN; i++)
		result = listener_add(set, configuration->sockets.values[i], false);
	if (result != LISTENERS_OPEN) {
		listeners_close(set);
		return result;
	}
	/* Xen's chroots belong to the usual places. */
	if (configuration->sockets.count == 0 || configuration->xen_directory) {
		xen_watch(set);
		xen_sockets_find(set);
	}
	*ret_listeners = set;
	return LISTENERS_OPEN;
}

void listeners_close(struct listeners *set)
{
	if (!set)
		return;
	while (!LIST_EMPTY(&set->all))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): listener_destroy() unlinks what it frees */
		listener_destroy(LIST_FIRST(&set->all));
	if (set->changed)
		event_free(set->changed);
	if (set->inotify >= 0)
		close(set->inotify);
	free(set);
}
