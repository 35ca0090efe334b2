/* SPDX-License-Identifier: Apache-2.0 */
#include "grants_watch.h"

#include <argp.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>

#include "domain.h"
#include "grants_list.h"
#include "grants_store.h"

struct child {
	LIST_ENTRY(child) link;
	unsigned domain;
	pid_t process;
};

struct watch {
	const struct grants_watch_settings *settings;
	struct event_base *base;
	struct xs_handle *store;
	struct event *again; /* a process has failed */
	LIST_HEAD(, child) children;
};

static bool child_is_there(const struct watch *watch, unsigned domain)
{
	const struct child *child;

	LIST_FOREACH(child, &watch->children, link)
	if (child->domain == domain)
		return true;
	return false;
}

/* In the child. */
_Noreturn static void program_become(const struct watch *watch, unsigned domain, char **options)
{
	char *arguments[GRANTS_LIST_WORDS + 8];
	const char *path = watch->settings->socket_path;
	char number[16];
	char socket[128];
	size_t count = 0;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	snprintf(number, sizeof(number), "%u", domain);
	snprintf(socket, sizeof(socket), "--socket=%s", path ? path : "");
	arguments[count++] = "vgpu-xen-grants";
	if (path)
		arguments[count++] = socket;
	while (*options)
		arguments[count++] = *options++;
	arguments[count++] = number;
	arguments[count] = NULL;
	execv("/proc/self/exe", arguments);
	_exit(EXIT_FAILURE);
}

static void child_start(struct watch *watch, unsigned domain)
{
	struct grants_identity identity;
	struct grants_list_entry entry;
	struct child *child;

	if (!grants_store_identity(watch->store, domain, &identity) ||
	    !grants_list_find(watch->settings->list, identity.uuid_text, identity.name, &entry))
		return;
	child = calloc(1, sizeof(*child));
	if (!child)
		return;
	child->domain = domain;
	child->process = fork();
	if (child->process == 0)
		program_become(watch, domain, entry.words);
	if (child->process < 0) {
		fprintf(stderr, "[vgpu-xen-grants] no process for domain %u: %s\n", domain, strerror(errno));
		free(child);
		return;
	}
	LIST_INSERT_HEAD(&watch->children, child, link);
}

static void domains_compare(struct watch *watch)
{
	unsigned count = 0;
	char **names = xs_directory(watch->store, XBT_NULL, "/local/domain", &count);

	for (unsigned i = 0; i < count; i++) {
		unsigned long domain = strtoul(names[i], NULL, 10);

		if (domain > 0 && domain <= DOMAIN_MAX && !child_is_there(watch, (unsigned)domain))
			child_start(watch, (unsigned)domain);
	}
	free(names);
}

static void store_readable(evutil_socket_t descriptor, short what, void *argument)
{
	struct watch *watch = argument;
	char **event;

	(void)descriptor;
	(void)what;
	while ((event = xs_check_watch(watch->store))) {
		free(event);
		domains_compare(watch);
	}
	if (errno != EAGAIN) {
		fprintf(stderr, "[vgpu-xen-grants] XenStore is lost: %s\n", strerror(errno));
		event_base_loopbreak(watch->base);
	}
}

static void again(evutil_socket_t none, short what, void *argument)
{
	(void)none;
	(void)what;
	domains_compare(argument);
}

static void child_ended(evutil_socket_t signal, short what, void *argument)
{
	static const struct timeval second = {.tv_sec = 1};
	struct watch *watch = argument;
	struct child *child;
	struct child *next;

	(void)signal;
	(void)what;
	for (child = LIST_FIRST(&watch->children); child; child = next) {
		int status;

		next = LIST_NEXT(child, link);
		if (waitpid(child->process, &status, WNOHANG) != child->process)
			continue;
		/* What is wrong with the options of the list stays wrong until it is changed. */
		if (!WIFEXITED(status) ||
		    (WEXITSTATUS(status) != EXIT_SUCCESS && WEXITSTATUS(status) != argp_err_exit_status))
			event_add(watch->again, &second);
		LIST_REMOVE(child, link);
		free(child);
	}
}

static void reload(evutil_socket_t signal, short what, void *argument)
{
	(void)signal;
	(void)what;
	domains_compare(argument);
}

static void signalled(evutil_socket_t signal, short what, void *argument)
{
	struct watch *watch = argument;

	(void)signal;
	(void)what;
	event_base_loopbreak(watch->base);
}

static bool handlers_add(struct watch *watch)
{
	struct event *handlers[] = {
		event_new(watch->base, xs_fileno(watch->store), EV_READ | EV_PERSIST, store_readable, watch),
		evsignal_new(watch->base, SIGCHLD, child_ended, watch),
		evsignal_new(watch->base, SIGHUP, reload, watch),
		evsignal_new(watch->base, SIGTERM, signalled, watch),
		evsignal_new(watch->base, SIGINT, signalled, watch),
	};

	watch->again = evtimer_new(watch->base, again, watch);
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (!handlers[i] || event_add(handlers[i], NULL) < 0)
			return false;
	return watch->again && xs_watch(watch->store, "@introduceDomain", "domains") &&
	       xs_watch(watch->store, "@releaseDomain", "domains");
}

int grants_watch_run(const struct grants_watch_settings *settings)
{
	struct watch watch = {.settings = settings, .base = event_base_new(), .store = xs_open(0)};
	const struct child *child;

	if (!watch.base || !watch.store || !handlers_add(&watch)) {
		fprintf(stderr, "[vgpu-xen-grants] no XenStore: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	fprintf(stderr, "[vgpu-xen-grants] serving the guests of %s\n", settings->list);
	event_base_dispatch(watch.base);
	LIST_FOREACH(child, &watch.children, link)
	kill(child->process, SIGTERM);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	return EXIT_FAILURE;
}
