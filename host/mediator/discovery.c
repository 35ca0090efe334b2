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

static bool is_qemu(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	return strncmp(name, "qemu-system", 11) == 0 || strcmp(name, "qemu-kvm") == 0;
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

static bool machine_take(const struct discovery *discovery, size_t bytes, struct discovery_machine *machine)
{
	const char *argument = discovery->command_line;
	const char *end = argument + bytes;
	const char *option = "";
	bool found = false;

	if (bytes == 0 || !is_qemu(argument))
		return false;
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

void discovery_log(const struct discovery *discovery)
{
	log_info("Found %u QEMU VMs with vgpu-cuda devices", discovery->count);
	for (unsigned i = 0; i < discovery->count; i++) {
		const struct discovery_machine *machine = &discovery->machines[i];

		if (machine->has_vm_id)
			log_info("QEMU pid=%d name=\"%s\" vm_id=%u", machine->pid, machine->name, machine->vm_id);
		else
			log_info("QEMU pid=%d name=\"%s\" without vm_id", machine->pid, machine->name);
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
