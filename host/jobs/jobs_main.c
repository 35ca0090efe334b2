/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-jobs: receives jobs of VMs over virtio-serial, vsock and sockets and has them
 * run.  It only moves bytes: what a request means is looked at in the VM's own
 * vgpu-job-runner.
 */
#include <argp.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

#include "client.h"

#define SOURCES_MAX   64
#define RETRY_SECONDS 1

/* A QEMU chardev socket, which exists only while its VM runs. */
struct serial {
	struct jobs *jobs;
	struct event *retry;
	const char *path;
	char name[64];
};

struct settings {
	struct jobs jobs;
	const char *listens[SOURCES_MAX];
	size_t listen_count;
	const char *serials[SOURCES_MAX];
	size_t serial_count;
};

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
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)none;
	(void)what;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", serial->path);
	if (connected >= 0 && connect(connected, (struct sockaddr *)&address, sizeof(address)) == 0) {
		if (client_create(serial->jobs, connected, serial->name, serial_schedule, serial)) {
			jobs_log("%s: connected to %s", serial->name, serial->path);
			return;
		}
	} else if (connected >= 0) {
		close(connected);
	}
	serial_schedule(serial);
}

static bool serial_add(struct jobs *jobs, const char *setting)
{
	struct serial *serial = calloc(1, sizeof(*serial));
	const char *equals = strchr(setting, '=');

	if (!serial || !equals || (size_t)(equals - setting) >= sizeof(serial->name)) {
		free(serial);
		return false;
	}
	memcpy(serial->name, setting, (size_t)(equals - setting));
	serial->path = equals + 1;
	serial->jobs = jobs;
	serial->retry = evtimer_new(jobs->base, serial_connect, serial);
	if (!serial->retry) {
		free(serial);
		return false;
	}
	serial_connect(-1, 0, serial);
	return true;
}

static void peer_name(const struct sockaddr *address, int length, char name[64])
{
	char host[48] = "?";

	if (address->sa_family == AF_VSOCK) {
		const struct sockaddr_vm *vm = (const struct sockaddr_vm *)(const void *)address;

		snprintf(name, 64, "VM of context %u", vm->svm_cid);
	} else if (address->sa_family == AF_UNIX) {
		snprintf(name, 64, "a local program");
	} else {
		getnameinfo(address, (socklen_t)length, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
		snprintf(name, 64, "%s", host);
	}
}

static void accepted(struct evconnlistener *listener, evutil_socket_t socket, struct sockaddr *address, int length,
		     void *argument)
{
	char name[64];

	(void)listener;
	peer_name(address, length, name);
	client_create(argument, socket, name, NULL, NULL);
}

/* unix:PATH, vsock:PORT or HOST:PORT. */
static bool listener_add(struct jobs *jobs, const char *where)
{
	const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
	struct sockaddr_storage address = {0};
	int length = sizeof(address);

	if (strncmp(where, "unix:", 5) == 0) {
		struct sockaddr_un *local = (struct sockaddr_un *)&address;

		local->sun_family = AF_UNIX;
		snprintf(local->sun_path, sizeof(local->sun_path), "%s", where + 5);
		unlink(local->sun_path);
		length = sizeof(*local);
	} else if (strncmp(where, "vsock:", 6) == 0) {
		struct sockaddr_vm *vm = (struct sockaddr_vm *)&address;

		vm->svm_family = AF_VSOCK;
		vm->svm_cid = VMADDR_CID_ANY;
		vm->svm_port = (unsigned)strtoul(where + 6, NULL, 10);
		length = sizeof(*vm);
	} else if (evutil_parse_sockaddr_port(where, (struct sockaddr *)&address, &length) < 0) {
		errno = EINVAL;
		return false;
	}
	return evconnlistener_new_bind(jobs->base, accepted, jobs, flags, 64, (struct sockaddr *)&address, length) !=
	       NULL;
}

static void children_reap(evutil_socket_t number, short what, void *argument)
{
	(void)number;
	(void)what;
	(void)argument;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void stop(evutil_socket_t number, short what, void *argument)
{
	(void)number;
	(void)what;
	event_base_loopbreak(argument);
}

static const struct argp_option options[] = {
	{"listen", 'l', "WHERE", 0, "unix:PATH, vsock:PORT or ADDRESS:PORT (repeatable)", 0},
	{"serial", 's', "NAME=PATH", 0, "A VM's virtio-serial port: QEMU's chardev socket (repeatable)", 0},
	{"runner", 'r', "PATH", 0, "The vgpu-job-runner program", 0},
	{"library", 'L', "FOLDER", 0, "Where the guest library libcuda.so.1 is", 0},
	{"mediator", 'm', "PATH", 0, "The mediator's socket (/var/vgpu/mediator.sock)", 0},
	{"job-timeout", 't', "SECONDS", 0, "A job that takes longer is ended (60)", 0},
	{"clients-max", 'c', "N", 0, "Connections at a time (64)", 0},
	{0},
};

static error_t option_parse(int key, char *argument, struct argp_state *state)
{
	struct settings *settings = state->input;

	switch (key) {
	case 'l':
		if (settings->listen_count == SOURCES_MAX)
			argp_error(state, "too many places");
		settings->listens[settings->listen_count++] = argument;
		return 0;
	case 's':
		if (settings->serial_count == SOURCES_MAX)
			argp_error(state, "too many ports");
		settings->serials[settings->serial_count++] = argument;
		return 0;
	case 'r':
		settings->jobs.runner = argument;
		return 0;
	case 'L':
		settings->jobs.library = argument;
		return 0;
	case 'm':
		settings->jobs.mediator = argument;
		return 0;
	case 't':
		settings->jobs.job_seconds = (unsigned)strtoul(argument, NULL, 10);
		return 0;
	case 'c':
		settings->jobs.clients_max = (unsigned)strtoul(argument, NULL, 10);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int count, char **arguments)
{
	static const struct argp parser = {.options = options,
					   .parser = option_parse,
					   .doc = "Runs the JSON jobs of virtual machines on the GPU."};
	struct settings settings = {
		.jobs = {.runner = "/usr/local/libexec/vgpu/vgpu-job-runner",
			 .library = "/usr/local/lib/vgpu-cuda",
			 .mediator = "/var/vgpu/mediator.sock",
			 .job_seconds = 60,
			 .clients_max = 64},
	};
	struct event_base *base = event_base_new();

	if (argp_parse(&parser, count, arguments, 0, NULL, &settings) || !base)
		return EXIT_FAILURE;
	signal(SIGPIPE, SIG_IGN);
	settings.jobs.base = base;
	event_add(evsignal_new(base, SIGCHLD, children_reap, NULL), NULL);
	event_add(evsignal_new(base, SIGTERM, stop, base), NULL);
	event_add(evsignal_new(base, SIGINT, stop, base), NULL);
	for (size_t i = 0; i < settings.listen_count; i++) {
		if (!listener_add(&settings.jobs, settings.listens[i])) {
			jobs_log("%s: %s", settings.listens[i], strerror(errno));
			return EXIT_FAILURE;
		}
		jobs_log("Listening on %s", settings.listens[i]);
	}
	for (size_t i = 0; i < settings.serial_count; i++) {
		if (!serial_add(&settings.jobs, settings.serials[i])) {
			jobs_log("%s is no NAME=PATH", settings.serials[i]);
			return EXIT_FAILURE;
		}
	}
	jobs_log("Host daemon started");
	return event_base_dispatch(base) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
