/* SPDX-License-Identifier: Apache-2.0 */
#include "grants_domain.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grants_map.h"

#define REPORTS_PER_SECOND 10

void grants_report(struct grants_domain *domain, const char *format, ...)
{
	time_t now = time(NULL);
	char text[512];
	va_list arguments;

	if (now != domain->report_second) {
		domain->report_second = now;
		domain->report_count = 0;
	}
	if (domain->report_count++ >= REPORTS_PER_SECOND)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "[vgpu-xen-grants] domain %u: %s\n", domain->domain, text);
}

/* Another domain may have the number by now. */
static bool domain_is_there(struct grants_domain *domain, const xen_domain_handle_t *handle,
			    xen_domain_handle_t *ret_handle)
{
	xc_dominfo_t info;

	if (xc_domain_getinfo(domain->control, domain->domain, 1, &info) != 1 || info.domid != domain->domain ||
	    info.dying)
		return false;
	if (handle)
		return memcmp(handle, &info.handle, sizeof(*handle)) == 0;
	memcpy(ret_handle, &info.handle, sizeof(*ret_handle));
	return true;
}

struct service {
	struct grants_domain *domain;
	xen_domain_handle_t handle;
	bool is_over;
};

static void service_end(struct service *service, const char *why)
{
	grants_report(service->domain, "%s", why);
	event_base_loopbreak(service->domain->base);
}

static void store_readable(evutil_socket_t descriptor, short what, void *argument)
{
	struct service *service = argument;
	struct grants_domain *domain = service->domain;
	char **event;

	(void)descriptor;
	(void)what;
	while ((event = xs_check_watch(domain->store))) {
		const char *path = event[XS_WATCH_PATH];
		size_t length = strlen(path);
		size_t own = strlen("/" VGPU_GRANTS_ANSWER);
		uint32_t port;

		if (path[0] == '@') {
			service->is_over = !domain_is_there(domain, &service->handle, NULL);
		} else if (grants_port_parse(path, &port) &&
			   (length < own || strcmp(path + length - own, "/" VGPU_GRANTS_ANSWER) != 0)) {
			grants_channel_look(domain, port);
		}
		free(event);
		if (service->is_over) {
			service_end(service, "is gone");
			return;
		}
	}
	if (errno != EAGAIN)
		service_end(service, "XenStore is lost");
}

static void events_readable(evutil_socket_t descriptor, short what, void *argument)
{
	struct grants_domain *domain = argument;
	xenevtchn_port_or_error_t port = xenevtchn_pending(domain->events);

	(void)descriptor;
	(void)what;
	if (port < 0)
		return;
	/* First, so that an event that comes meanwhile is another one. */
	xenevtchn_unmask(domain->events, (evtchn_port_t)port);
	grants_channel_event(domain, (evtchn_port_t)port);
}

static void signalled(evutil_socket_t signal, short what, void *argument)
{
	(void)signal;
	(void)what;
	service_end(argument, "is served no more");
}

static bool interfaces_open(struct service *service)
{
	struct grants_domain *domain = service->domain;

	domain->store = xs_open(0);
	domain->control = xc_interface_open(NULL, NULL, 0);
	domain->events = xenevtchn_open(NULL, 0);
	domain->grants = grants_map_open();
	domain->own_grants = grants_map_open();
	if (!domain->store || !domain->control || !domain->events || domain->grants < 0 || domain->own_grants < 0) {
		grants_report(domain, "Xen's interfaces cannot be opened (modules xen-gntdev, xen-evtchn)");
		return false;
	}
	/* Of event channels this process can have no other domain's. */
	if (xenevtchn_restrict(domain->events, (domid_t)domain->domain) < 0)
		grants_report(domain, "cannot give up event channels of other domains: %s", strerror(errno));
	return true;
}

static bool handlers_add(struct service *service)
{
	struct grants_domain *domain = service->domain;
	struct event *handlers[] = {
		event_new(domain->base, xs_fileno(domain->store), EV_READ | EV_PERSIST, store_readable, service),
		event_new(domain->base, xenevtchn_fd(domain->events), EV_READ | EV_PERSIST, events_readable, domain),
		evsignal_new(domain->base, SIGTERM, signalled, service),
		evsignal_new(domain->base, SIGINT, signalled, service),
	};

	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (!handlers[i] || event_add(handlers[i], NULL) < 0)
			return false;
	return xs_watch(domain->store, "@releaseDomain", "end") && grants_store_watch(domain->store, domain->domain);
}

int grants_serve(struct grants_domain *domain)
{
	struct service service = {.domain = domain};

	signal(SIGPIPE, SIG_IGN);
	domain->base = event_base_new();
	if (!domain->base || !interfaces_open(&service))
		return EXIT_FAILURE;
	if (!domain_is_there(domain, NULL, &service.handle) ||
	    !grants_store_identity(domain->store, domain->domain, &domain->identity)) {
		grants_report(domain, "is not there");
		return EXIT_SUCCESS;
	}
	if (!handlers_add(&service) || !grants_link_start(domain)) {
		grants_report(domain, "cannot be watched: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	grants_report(domain, "serving %s", domain->identity.name);
	event_base_dispatch(domain->base);
	/* What is mapped and bound goes with the process, and with it the guest is told. */
	if (!service.is_over)
		grants_store_withdraw(domain->store, domain->domain);
	return service.is_over ? EXIT_SUCCESS : EXIT_FAILURE;
}
