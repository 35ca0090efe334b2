/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <arpa/inet.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

#include "installation.h"
#include "number_option.h"

#define SOCKET_PATH_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)
#define SECONDS_MAX	  31536000
#define CLIENTS_MAX	  65536
#define OPTION_CHECK	  256

void settings_address_write(const struct in6_addr *address, char *text, size_t bytes)
{
	struct in_addr within;

	memcpy(&within, &address->s6_addr[12], sizeof(within));
	if (IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET, &within, text, (socklen_t)bytes);
	else
		inet_ntop(AF_INET6, address, text, (socklen_t)bytes);
}

static const char *socket_take(const struct argp_state *state, const char *option, const char *path)
{
	if (!*path || strlen(path) >= SOCKET_PATH_BYTES)
		argp_error(state, "--%s: \"%s\" is no path of a socket, of 1 to %zu characters", option, path,
			   SOCKET_PATH_BYTES - 1);
	return path;
}

static bool id_parse(const char *text, uint32_t least, uint32_t most, uint32_t *ret_id)
{
	uint64_t number;

	if (!number_parse(text, 10, least, most, &number))
		return false;
	*ret_id = (uint32_t)number;
	return true;
}

static bool vm_id_parse(const char *text, uint32_t *ret_vm_id)
{
	return id_parse(text, JOBS_NO_VM + 1, UINT32_MAX, ret_vm_id);
}

/* PEER=VM_ID */
static bool machine_add(struct settings *settings, const char *setting)
{
	const char *equals = strrchr(setting, '=');
	struct settings_machine *machine = &settings->machines[settings->machine_count];
	struct in6_addr address;

	if (!equals || settings->machine_count == SETTINGS_MACHINES_MAX ||
	    (size_t)(equals - setting) >= sizeof(machine->peer))
		return false;
	memcpy(machine->peer, setting, (size_t)(equals - setting));
	if (inet_pton(AF_INET6, machine->peer, &address) == 1)
		settings_address_write(&address, machine->peer, sizeof(machine->peer));
	if (!vm_id_parse(equals + 1, &machine->vm_id))
		return false;
	settings->machine_count++;
	return true;
}

uint32_t settings_vm_of_peer(const struct settings *settings, const char *peer)
{
	for (size_t i = 0; i < settings->machine_count; i++) {
		if (strcmp(settings->machines[i].peer, peer) == 0)
			return settings->machines[i].vm_id;
	}
	return JOBS_NO_VM;
}

/* NAME[:VM_ID]=PATH */
static bool serial_parse(const char *text, struct settings_serial *serial)
{
	const char *equals = strchr(text, '=');
	char *colon;

	if (!equals || (size_t)(equals - text) >= sizeof(serial->name) || !equals[1] ||
	    strlen(equals + 1) >= SOCKET_PATH_BYTES)
		return false;
	memcpy(serial->name, text, (size_t)(equals - text));
	serial->path = equals + 1;
	colon = strrchr(serial->name, ':');
	if (!colon)
		return true;
	*colon = '\0';
	return vm_id_parse(colon + 1, &serial->vm_id);
}

/* unix:PATH, vsock:PORT or ADDRESS:PORT */
static bool listen_parse(const char *where, struct settings_listen *listen)
{
	struct sockaddr_un *local = (struct sockaddr_un *)&listen->address;
	struct sockaddr_vm *vm = (struct sockaddr_vm *)&listen->address;

	listen->text = where;
	if (strncmp(where, "unix:", 5) == 0) {
		if (!where[5] || strlen(where + 5) >= sizeof(local->sun_path))
			return false;
		local->sun_family = AF_UNIX;
		snprintf(local->sun_path, sizeof(local->sun_path), "%s", where + 5);
		listen->length = sizeof(*local);
		return true;
	}
	if (strncmp(where, "vsock:", 6) == 0) {
		vm->svm_family = AF_VSOCK;
		vm->svm_cid = VMADDR_CID_ANY;
		listen->length = sizeof(*vm);
		return id_parse(where + 6, 1, UINT32_MAX - 1, &vm->svm_port);
	}
	listen->length = sizeof(listen->address);
	/* The port is at the same place in both families. */
	return evutil_parse_sockaddr_port(where, (struct sockaddr *)&listen->address, &listen->length) == 0 &&
	       ((const struct sockaddr_in *)&listen->address)->sin_port != 0;
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
	{"check", OPTION_CHECK, NULL, 0, "Start nothing: say what is wrong with the options; exit code 2 if anything",
	 0},
	{0},
};

static void listen_take(const struct argp_state *state, struct settings *settings, const char *text)
{
	if (settings->listen_count == SETTINGS_SOURCES_MAX)
		argp_error(state, "too many places");
	if (!listen_parse(text, &settings->listens[settings->listen_count++]))
		argp_error(state, "--listen: \"%s\" is no unix:PATH, vsock:PORT or ADDRESS:PORT", text);
}

static void serial_take(const struct argp_state *state, struct settings *settings, const char *text)
{
	if (settings->serial_count == SETTINGS_SOURCES_MAX)
		argp_error(state, "too many ports");
	if (!serial_parse(text, &settings->serials[settings->serial_count++]))
		argp_error(state, "--serial: \"%s\" is no NAME[:VM_ID]=PATH", text);
}

static error_t option_parse(int key, char *argument, struct argp_state *state)
{
	struct settings *settings = state->input;
	struct jobs *jobs = &settings->jobs;

	switch (key) {
	case 'l':
		listen_take(state, settings, argument);
		return 0;
	case 's':
		serial_take(state, settings, argument);
		return 0;
	case 'v':
		if (!machine_add(settings, argument))
			argp_error(state, "--vm: \"%s\" is no PEER=VM_ID", argument);
		return 0;
	case 'r':
		jobs->runner = argument;
		return 0;
	case 'L':
		jobs->library = argument;
		return 0;
	case 'm':
		jobs->mediator = socket_take(state, "mediator", argument);
		return 0;
	case 't':
		jobs->job_seconds = number_option_take(state, "--job-timeout", argument, 1, SECONDS_MAX);
		return 0;
	case 'i':
		jobs->idle_seconds = number_option_take(state, "--idle-timeout", argument, 0, SECONDS_MAX);
		return 0;
	case 'c':
		jobs->clients_max = number_option_take(state, "--clients-max", argument, 1, CLIENTS_MAX);
		return 0;
	case 'V':
		jobs->clients_of_vm_max = number_option_take(state, "--clients-per-vm", argument, 1, CLIENTS_MAX);
		return 0;
	case OPTION_CHECK:
		settings->checks_only = true;
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

int settings_read(int count, char **arguments, struct settings *ret_settings)
{
	static const char *const runners[] = {"vgpu-job-runner", "../libexec/vgpu/vgpu-job-runner", NULL};
	static const char *const libraries[] = {"../lib/vgpu-cuda", "../../guest/libcuda", NULL};
	static const struct argp parser = {.options = options,
					   .parser = option_parse,
					   .doc = "Runs the JSON jobs of virtual machines on the GPU."};

	*ret_settings = (struct settings){
		.jobs = {.runner = place_find(runners, "/usr/local/libexec/vgpu/vgpu-job-runner"),
			 .library = place_find(libraries, "/usr/local/lib/vgpu-cuda"),
			 .mediator = "/var/vgpu/mediator.sock",
			 .job_seconds = 60,
			 .idle_seconds = 300,
			 .clients_max = 64,
			 .clients_of_vm_max = 8},
	};
	argp_err_exit_status = SETTINGS_EXIT_WRONG;
	argp_program_version = "vgpu-jobs " VGPU_VERSION;
	return argp_parse(&parser, count, arguments, 0, NULL, ret_settings) ? EXIT_FAILURE : 0;
}

static bool file_look(const char *option, const char *path, int mode)
{
	if (access(path, mode) == 0)
		return true;
	fprintf(stderr, "vgpu-jobs: --%s: %s: %s\n", option, path, strerror(errno));
	return false;
}

int settings_look(const struct settings *settings)
{
	char library[4096];
	bool is_good = file_look("runner", settings->jobs.runner, X_OK);

	snprintf(library, sizeof(library), "%s/libcuda.so.1", settings->jobs.library);
	is_good = file_look("library", library, R_OK) && is_good;
	if (is_good)
		fprintf(stderr, "vgpu-jobs: the options are right\n");
	return is_good ? EXIT_SUCCESS : SETTINGS_EXIT_WRONG;
}
