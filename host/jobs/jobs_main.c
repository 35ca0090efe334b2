/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-jobs: receives jobs of VMs over virtio-serial, vsock and sockets and has them
 * run.  It only moves bytes: what a request means is looked at in the VM's own
 * vgpu-job-runner.
 */
#include <argp.h>
#include <arpa/inet.h>
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

#include "client.h"
#include "installation.h"

#define SOURCES_MAX   64
#define MACHINES_MAX  256
#define RETRY_SECONDS 1

/* A QEMU chardev socket, which exists only while its VM runs. */
struct serial {
	struct jobs *jobs;
	struct event *retry;
	const char *path;
	char name[64];
	uint32_t vm_id;
	int error_told; /* why it does not connect, once for each reason */
};

/* Who a peer is, by what the host says of its connection: "vsock:CID", or an address. */
struct machine {
	char peer[56];
	uint32_t vm_id;
};

struct settings {
	struct jobs jobs;
	const char *listens[SOURCES_MAX];
	size_t listen_count;
	const char *serials[SOURCES_MAX];
	size_t serial_count;
};

static struct machine machines[MACHINES_MAX];
static size_t machine_count;

/* An address as it is compared: one of IPv4 looks like that also where a socket for both has it within IPv6. */
static void address_write(const struct in6_addr *address, char *text, size_t bytes)
{
	struct in_addr within;

	memcpy(&within, &address->s6_addr[12], sizeof(within));
	if (IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET, &within, text, (socklen_t)bytes);
	else
		inet_ntop(AF_INET6, address, text, (socklen_t)bytes);
}

/* JOBS_NO_VM: it is no number of a VM. */
static uint32_t vm_id_parse(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	return *text >= '0' && *text <= '9' && !*end && number <= UINT32_MAX ? (uint32_t)number : JOBS_NO_VM;
}

static bool machine_add(const char *setting)
{
	const char *equals = strrchr(setting, '=');
	struct machine *machine = &machines[machine_count];
	struct in6_addr address;

	if (!equals || machine_count == MACHINES_MAX || (size_t)(equals - setting) >= sizeof(machine->peer))
		return false;
	memcpy(machine->peer, setting, (size_t)(equals - setting));
	if (inet_pton(AF_INET6, machine->peer, &address) == 1)
		address_write(&address, machine->peer, sizeof(machine->peer));
	machine->vm_id = vm_id_parse(equals + 1);
	machine_count += machine->vm_id != JOBS_NO_VM;
	return machine->vm_id != JOBS_NO_VM;
}

static uint32_t machine_find(const char *peer)
{
	for (size_t i = 0; i < machine_count; i++) {
		if (strcmp(machines[i].peer, peer) == 0)
			return machines[i].vm_id;
	}
	return JOBS_NO_VM;
}

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
		const struct client_plan plan = {
			.name = serial->name,
			.vm_id = serial->vm_id,
			.may_idle = true,
			.is_known = true,
			.ended = serial_schedule,
			.owner = serial,
		};

		if (client_create(serial->jobs, connected, &plan)) {
			jobs_log("%s: connected to %s", serial->name, serial->path);
			serial->error_told = 0;
			return;
		}
	} else {
		if (errno != serial->error_told) {
			serial->error_told = errno;
			jobs_log("%s: %s: %s; trying once a second", serial->name, serial->path, strerror(errno));
		}
		if (connected >= 0)
			close(connected);
	}
	serial_schedule(serial);
}

static bool serial_add(struct jobs *jobs, const char *setting)
{
	struct serial *serial = calloc(1, sizeof(*serial));
	const char *equals = strchr(setting, '=');
	char *colon;

	if (!serial || !equals || (size_t)(equals - setting) >= sizeof(serial->name)) {
		free(serial);
		return false;
	}
	memcpy(serial->name, setting, (size_t)(equals - setting));
	serial->path = equals + 1;
	/* NAME:VM_ID */
	colon = strrchr(serial->name, ':');
	if (colon) {
		*colon = '\0';
		serial->vm_id = vm_id_parse(colon + 1);
	}
	if (colon && serial->vm_id == JOBS_NO_VM) {
		free(serial);
		return false;
	}
	serial->jobs = jobs;
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
			address_write(whole, host, sizeof(host));
		else
			getnameinfo(address, (socklen_t)length, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
		snprintf(name, 64, "%s", host);
		snprintf(text, sizeof(text), "%s", host);
	}
	return machine_find(text);
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

static const struct argp_option options[] = {
	{"listen", 'l', "WHERE", 0, "unix:PATH, vsock:PORT or ADDRESS:PORT (repeatable)", 0},
	{"serial", 's', "NAME[:VM_ID]=PATH", 0, "A VM's virtio-serial port: QEMU's chardev socket (repeatable)", 0},
	{"vm", 'v', "PEER=VM_ID", 0, "Which VM is behind vsock:CID or an IP address (repeatable)", 0},
	{"runner", 'r', "PATH", 0, "The vgpu-job-runner program", 0},
	{"library", 'L', "FOLDER", 0, "Where the guest library libcuda.so.1 is", 0},
	{"mediator", 'm', "PATH", 0, "The mediator's socket (/var/vgpu/mediator.sock)", 0},
	{"job-timeout", 't', "SECONDS", 0, "A job that takes longer is ended (60)", 0},
	{"idle-timeout", 'i', "SECONDS", 0, "A VM's connection without a job is closed after that time (300; 0: never)",
	 0},
	{"clients-max", 'c', "N", 0, "Connections at a time (64)", 0},
	{"clients-per-vm", 'V', "N", 0, "Of one VM (8)", 0},
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
	case 'v':
		if (!machine_add(argument))
			argp_error(state, "\"%s\" is no PEER=VM_ID", argument);
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
	case 'i':
		settings->jobs.idle_seconds = (unsigned)strtoul(argument, NULL, 10);
		return 0;
	case 'c':
		settings->jobs.clients_max = (unsigned)strtoul(argument, NULL, 10);
		return 0;
	case 'V':
		settings->jobs.clients_of_vm_max = (unsigned)strtoul(argument, NULL, 10);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", argument);
		return 0;
	case ARGP_KEY_END:
		if (settings->listen_count + settings->serial_count == 0)
			argp_error(state, "no --listen and no --serial: no VM could send a job");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char *place_find(const char *const *places, const char *usual)
{
	char *place = installation_file_find(places);

	return place ? place : usual;
}

int main(int count, char **arguments)
{
	static const char *const runners[] = {"vgpu-job-runner", "../libexec/vgpu/vgpu-job-runner", NULL};
	static const char *const libraries[] = {"../lib/vgpu-cuda", "../../guest/libcuda", NULL};
	static const struct argp parser = {.options = options,
					   .parser = option_parse,
					   .doc = "Runs the JSON jobs of virtual machines on the GPU."};
	struct settings settings = {
		.jobs = {.runner = place_find(runners, "/usr/local/libexec/vgpu/vgpu-job-runner"),
			 .library = place_find(libraries, "/usr/local/lib/vgpu-cuda"),
			 .mediator = "/var/vgpu/mediator.sock",
			 .job_seconds = 60,
			 .idle_seconds = 300,
			 .clients_max = 64,
			 .clients_of_vm_max = 8},
	};
	struct event_base *base = event_base_new();

	argp_program_version = "vgpu-jobs " VGPU_VERSION;
	if (argp_parse(&parser, count, arguments, 0, NULL, &settings) || !base)
		return EXIT_FAILURE;
	signal(SIGPIPE, SIG_IGN);
	/* Runners are of the same user, and are not to look into it. */
	prctl(PR_SET_DUMPABLE, 0);
	settings.jobs.base = base;
	event_add(evsignal_new(base, SIGCHLD, children_reap, &settings.jobs), NULL);
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
			jobs_log("%s is no NAME[:VM_ID]=PATH", settings.serials[i]);
			return EXIT_FAILURE;
		}
	}
	jobs_log("Host daemon started");
	return event_base_dispatch(base) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
