/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-jobs: receives jobs of VMs over virtio-serial, vsock and sockets and has them
 * run.  It only moves bytes: what a request means is looked at in the VM's own
 * vgpu-job-runner.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

#include "client.h"
#include "log.h"
#include "service_ready.h"
#include "settings.h"
#include "starter.h"

#define RETRY_SECONDS 1

/* A QEMU chardev socket, which exists only while its VM runs. */
struct serial {
	struct jobs *jobs;
	struct event *retry;
	const struct settings_serial *setting;
	int error_told; /* why it does not connect, once for each reason */
};

static struct settings settings;

static void serial_schedule(void *argument)
{
	struct serial *serial = argument;
	const struct timeval pause = {.tv_sec = RETRY_SECONDS};

	event_add(serial->retry, &pause);
}

/* The VM may not run yet, or not any more. */
static void serial_connect(evutil_socket_t none, short what, void *argument)
{
	struct serial *serial = argument;
	const struct settings_serial *setting = serial->setting;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)none;
	(void)what;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", setting->path);
	if (connected >= 0 && connect(connected, (struct sockaddr *)&address, sizeof(address)) == 0) {
		const struct client_plan plan = {
			.name = setting->name,
			.vm_id = setting->vm_id,
			.may_idle = true,
			.is_known = true,
			.ended = serial_schedule,
			.owner = serial,
		};

		if (client_create(serial->jobs, connected, &plan)) {
			log_info("%s: connected to %s", setting->name, setting->path);
			serial->error_told = 0;
			return;
		}
	} else {
		if (errno != serial->error_told) {
			serial->error_told = errno;
			log_info("%s: %s: %s; trying once a second", setting->name, setting->path, strerror(errno));
		}
		if (connected >= 0)
			close(connected);
	}
	serial_schedule(serial);
}

static bool serial_add(struct jobs *jobs, const struct settings_serial *setting)
{
	struct serial *serial = calloc(1, sizeof(*serial));

	if (!serial)
		return false;
	serial->jobs = jobs;
	serial->setting = setting;
	serial->retry = evtimer_new(jobs->base, serial_connect, serial);
	if (!serial->retry) {
		free(serial);
		return false;
	}
	serial_connect(-1, 0, serial);
	return true;
}

/* The name for the log, and the VM, if the operator has said which is at that address. */
static uint32_t peer_identify(const struct sockaddr *address, int length, char name[64])
{
	char text[56] = "";
	char host[48] = "?";

	if (address->sa_family == AF_VSOCK) {
		const struct sockaddr_vm *vm = (const struct sockaddr_vm *)(const void *)address;

		snprintf(name, 64, "VM of context %u", vm->svm_cid);
		snprintf(text, sizeof(text), "vsock:%u", vm->svm_cid);
	} else if (address->sa_family == AF_UNIX) {
		snprintf(name, 64, "a local program");
	} else {
		const struct in6_addr *whole = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;

		if (address->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(whole))
			settings_address_write(whole, host, sizeof(host));
		else
			getnameinfo(address, (socklen_t)length, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
		snprintf(name, 64, "%s", host);
		snprintf(text, sizeof(text), "%s", host);
	}
	return settings_vm_of_peer(&settings, text);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t socket, struct sockaddr *address, int length,
		     void *argument)
{
	struct client_plan plan = {0};
	struct ucred peer;
	socklen_t bytes = sizeof(peer);
	char name[64];

	(void)listener;
	plan.name = name;
	plan.vm_id = peer_identify(address, length, name);
	/* Root's vgpu-xen-jobs carries the jobs of all guests. */
	plan.may_name_vm = address->sa_family == AF_UNIX &&
			   getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 && peer.uid == 0;
	plan.may_idle = plan.may_name_vm;
	plan.is_known = plan.vm_id != JOBS_NO_VM || address->sa_family == AF_VSOCK || address->sa_family == AF_UNIX;
	client_create(argument, socket, &plan);
}

static bool listener_add(struct jobs *jobs, const struct settings_listen *listen)
{
	const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
	const struct sockaddr *address = (const struct sockaddr *)&listen->address;

	if (address->sa_family == AF_UNIX)
		unlink(((const struct sockaddr_un *)&listen->address)->sun_path);
	return evconnlistener_new_bind(jobs->base, accepted, jobs, flags, 64, address, listen->length) != NULL;
}

static void children_reap(evutil_socket_t number, short what, void *argument)
{
	pid_t process;

	(void)number;
	(void)what;
	while ((process = waitpid(-1, NULL, WNOHANG)) > 0)
		client_process_reaped(argument, process);
}

static void stop(evutil_socket_t number, short what, void *argument)
{
	(void)number;
	(void)what;
	event_base_loopbreak(argument);
}

int main(int count, char **arguments)
{
	struct event_base *base;
	int code = settings_read(count, arguments, &settings);

	if (code)
		return code;
	if (settings.checks_only)
		return settings_look(&settings);
	base = event_base_new();
	if (!base)
		return EXIT_FAILURE;
	log_open(NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Runners are of the same user, and are not to look into it. */
	prctl(PR_SET_DUMPABLE, 0);
	if (starter_open() < 0) {
		log_error("No thread: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	settings.jobs.base = base;
	event_add(evsignal_new(base, SIGCHLD, children_reap, &settings.jobs), NULL);
	event_add(evsignal_new(base, SIGTERM, stop, base), NULL);
	event_add(evsignal_new(base, SIGINT, stop, base), NULL);
	for (size_t i = 0; i < settings.listen_count; i++) {
		if (!listener_add(&settings.jobs, &settings.listens[i])) {
			log_error("%s: %s", settings.listens[i].text, strerror(errno));
			return EXIT_FAILURE;
		}
		log_info("Listening on %s", settings.listens[i].text);
	}
	for (size_t i = 0; i < settings.serial_count; i++) {
		if (!serial_add(&settings.jobs, &settings.serials[i])) {
			log_error("%s: out of memory", settings.serials[i].name);
			return EXIT_FAILURE;
		}
	}
	log_info("Host daemon started");
	service_ready_tell();
	return event_base_dispatch(base) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
