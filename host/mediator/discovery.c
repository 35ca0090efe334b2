/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define DEVICE_NAME	   "vgpu-cuda"
#define MACHINES_MAX	   256
#define COMMAND_LINE_BYTES 65536 /* libvirt's are some kilobytes */

struct discovery {
	bool has_scanned;
	unsigned count;
	struct discovery_machine machines[MACHINES_MAX];
	char command_line[COMMAND_LINE_BYTES];
};

struct discovery *discovery_create(void)
{
	return calloc(1, sizeof(struct discovery));
}

void discovery_destroy(struct discovery *discovery)
{
	free(discovery);
}

static size_t command_line_read(struct discovery *discovery, const char *pid)
{
	char path[64];
	size_t used = 0;
	ssize_t count;
	int file;

	snprintf(path, sizeof(path), "/proc/%.16s/cmdline", pid);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return 0;
	do {
		count = read(file, discovery->command_line + used, COMMAND_LINE_BYTES - 1 - used);
		used += count > 0 ? (size_t)count : 0;
	} while (count > 0 && used < COMMAND_LINE_BYTES - 1);
	close(file);
	discovery->command_line[used] = '\0';
	return used;
}

/* Its processes by the name that they were started by. */
static bool kind_find(const char *program, enum discovery_kind *ret_kind)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	if (strncmp(name, "qemu-system", 11) == 0 || strcmp(name, "qemu-kvm") == 0)
		*ret_kind = DISCOVERY_QEMU;
	else if (strcmp(name, "vgpu-xen") == 0)
		*ret_kind = DISCOVERY_XEN;
	else if (strcmp(name, "vgpu-xen-grants") == 0)
		*ret_kind = DISCOVERY_XEN_GRANTS;
	else
		return false;
	return true;
}

/* "vgpu-cuda,vm_id=1" or {"driver":"vgpu-cuda","vm_id":1} */
static bool is_our_device(const char *value)
{
	size_t length = strlen(DEVICE_NAME);

	if (value[0] == '{')
		return strstr(value, "\"" DEVICE_NAME "\"") != NULL;
	return strncmp(value, DEVICE_NAME, length) == 0 && (value[length] == '\0' || value[length] == ',');
}

static void vm_id_take(struct discovery_machine *machine, const char *device)
{
	const char *at = strstr(device, "vm_id");

	if (!at)
		return;
	at += strlen("vm_id");
	at += strspn(at, "\"=: ");
	machine->has_vm_id = isdigit((unsigned char)*at);
	machine->vm_id = (uint32_t)strtoul(at, NULL, 10);
}

/* "name", "guest=name,debug-threads=on" */
static void name_take(struct discovery_machine *machine, const char *value)
{
	if (strncmp(value, "guest=", 6) == 0)
		value += 6;
	log_text_copy(machine->name, sizeof(machine->name), value, strcspn(value, ","));
}

/* Has the device? */
static bool qemu_take(const char *argument, const char *end, struct discovery_machine *machine)
{
	const char *option = "";
	bool found = false;

	for (; argument < end; argument += strlen(argument) + 1) {
		if (strcmp(option, "-device") == 0 && is_our_device(argument)) {
			found = true;
			vm_id_take(machine, argument);
		} else if (strcmp(option, "-name") == 0) {
			name_take(machine, argument);
		}
		/* QEMU takes two dashes as well. */
		option = argument[0] == '-' && argument[1] == '-' ? argument + 1 : argument;
	}
	return found;
}

static bool option_has_value(const char *option)
{
	static const char *const without[] = {"--trace", "--background", "--check"};

	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
		if (strcmp(option, without[i]) == 0)
			return false;
	}
	return strchr(option, '=') == NULL;
}

/* "[OPTION...] DOMID", and a slot after it where it is a device. Serves a guest? The service of grants itself does not.
 */
static bool xen_take(const char *argument, const char *end, struct discovery_machine *machine)
{
	const char *option = "";

	for (; argument < end; argument += strlen(argument) + 1) {
		if (strncmp(argument, "--vm-id=", 8) == 0 || strcmp(option, "--vm-id") == 0)
			machine->vm_id = (uint32_t)strtoul(argument + (argument[0] == '-' ? 8 : 0), NULL, 10);
		else if (!option[0] && isdigit((unsigned char)argument[0]) && !machine->domain)
			machine->domain = (uint32_t)strtoul(argument, NULL, 10);
		option = argument[0] == '-' && option_has_value(argument) ? argument : "";
	}
	/* 0: the mediator chooses. */
	machine->has_vm_id = machine->vm_id != 0;
	snprintf(machine->name, sizeof(machine->name), "domain %u", machine->domain);
	return machine->domain != 0;
}

static bool machine_take(const struct discovery *discovery, size_t bytes, struct discovery_machine *machine)
{
	const char *arguments = discovery->command_line;
	const char *end = arguments + bytes;

	if (bytes == 0 || !kind_find(arguments, &machine->kind))
		return false;
	arguments += strlen(arguments) + 1;
	return machine->kind == DISCOVERY_QEMU ? qemu_take(arguments, end, machine) : xen_take(arguments, end, machine);
}

const char *discovery_kind_name(enum discovery_kind kind)
{
	static const char *const names[] = {
		[DISCOVERY_QEMU] = "QEMU", [DISCOVERY_XEN] = "Xen", [DISCOVERY_XEN_GRANTS] = "Xen grants"};

	return names[kind];
}

void discovery_log(const struct discovery *discovery)
{
	unsigned over_grants = 0;

	for (unsigned i = 0; i < discovery->count; i++)
		over_grants += discovery->machines[i].kind == DISCOVERY_XEN_GRANTS;
	/* A guest with vgpu-xen's device has a QEMU too. */
	log_info("Found %u QEMU VMs with vgpu-cuda devices", discovery->count - over_grants);
	if (over_grants)
		log_info("Found %u Xen guests with channels over grants", over_grants);
	for (unsigned i = 0; i < discovery->count; i++) {
		const struct discovery_machine *machine = &discovery->machines[i];
		const char *kind = discovery_kind_name(machine->kind);

		if (machine->has_vm_id)
			log_info("%s pid=%d name=\"%s\" vm_id=%u", kind, machine->pid, machine->name, machine->vm_id);
		else
			log_info("%s pid=%d name=\"%s\" without vm_id", kind, machine->pid, machine->name);
	}
}

const struct discovery_machine *discovery_machines(const struct discovery *discovery, unsigned *ret_count)
{
	*ret_count = discovery->count;
	return discovery->machines;
}

/* Of the process numbers, in the order of /proc; so one VM that comes as another goes is noticed. */
static uint64_t machines_digest(const struct discovery *discovery)
{
	uint64_t digest = discovery->count;

	for (unsigned i = 0; i < discovery->count; i++)
		digest = digest * 1000003 + (uint64_t)discovery->machines[i].pid;
	return digest;
}

void discovery_scan(struct discovery *discovery)
{
	uint64_t before = machines_digest(discovery);
	DIR *processes = opendir("/proc");
	const struct dirent *entry;

	if (!processes)
		return;
	discovery->count = 0;
	while (discovery->count < MACHINES_MAX && (entry = readdir(processes))) {
		struct discovery_machine *machine = &discovery->machines[discovery->count];

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		*machine = (struct discovery_machine){.pid = atoi(entry->d_name)};
		if (machine_take(discovery, command_line_read(discovery, entry->d_name), machine))
			discovery->count++;
	}
	closedir(processes);
	if (!discovery->has_scanned || machines_digest(discovery) != before)
		discovery_log(discovery);
	discovery->has_scanned = true;
}
