/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <string.h>

#define LIMITS                                                                                                \
	" processes memory-mib pinned-mib handles queue-depth rate mib-per-second kernel-ms host-memory-mib " \
	"host-tasks "

const struct command commands[] = {
	{"status", "", "", 0, "", "The mediator in a few lines", COMMAND_REQUEST},
	{"scan-vms", "", "", 0, "", "QEMUs with the device that run on this host", COMMAND_REQUEST},
	{"register-vm", "[UUID] [NAME]", "uuid name ", 0, " uuid name vm-id pool priority weight" LIMITS,
	 "Give a VM settings of its own", COMMAND_REQUEST},
	{"list-vms", "", "", 0, " pool priority ", "VMs and other tenants, registered or connected", COMMAND_REQUEST},
	{"show-vm", "VM", "vm ", 1, "", "All that is known of one", COMMAND_REQUEST},
	{"update-vm", "VM", "vm ", 1, " uuid name pool priority weight" LIMITS, "Change its settings", COMMAND_REQUEST},
	{"set-pool", "VM POOL", "vm pool ", 2, "", "Its programs start in that pool", COMMAND_REQUEST},
	{"set-priority", "VM PRIORITY", "vm priority ", 2, "", "low, medium or high", COMMAND_REQUEST},
	{"set-weight", "VM WEIGHT", "vm weight ", 2, "", "Its share within its priority, 1 to 100", COMMAND_REQUEST},
	{"set-rate-limit", "VM", "vm ", 1, " rate queue-depth mib-per-second ", "Slow it down; 0 is no limit",
	 COMMAND_REQUEST},
	{"set-vm-id", "VM NEW-ID", "vm new-id ", 2, "", "Its settings belong to another vm_id", COMMAND_REQUEST},
	{"remove-vm", "VM", "vm ", 1, "", "Forget its settings", COMMAND_REQUEST},
	{"show-weights", "", "", 0, "", "Weights, and the shares that follow from them", COMMAND_REQUEST},
	{"show-rate-limits", "", "", 0, "", "Limits of rates, and the delays they caused", COMMAND_REQUEST},
	{"quarantine-vm", "VM", "vm ", 1, " for reason ", "Refuse its programs", COMMAND_REQUEST},
	{"clear-quarantine", "VM", "vm ", 1, "", "Accept them again", COMMAND_REQUEST},
	{"show-quarantines", "", "", 0, "", "Who is quarantined, why and until when", COMMAND_REQUEST},
	{"list-pools", "", "", 0, "", "Pools", COMMAND_REQUEST},
	{"show-pool", "POOL", "pool ", 1, "", "One of them", COMMAND_REQUEST},
	{"set-pool-name", "POOL NAME", "pool name ", 2, "", "Name it", COMMAND_REQUEST},
	{"update-pool", "POOL", "pool ", 1, " name description policy enabled ",
	 "Change it; a disabled one starts no programs", COMMAND_REQUEST},
	{"scan-gpus", "", "", 0, "", "GPUs, and who is on them", COMMAND_REQUEST},
	{"assign-gpu", "GPU POOL", "gpu pool ", 2, "",
	 "By number, UUID or GPU:INSTANCE (MIG); POOL \"none\": no pool's", COMMAND_REQUEST},
	{"clear-gpu", "GPU", "gpu ", 1, "", "It is well again, after errors or a hang", COMMAND_REQUEST},
	{"show-iommu-status", "", "", 0, "", "Whether GPUs can be or are passed through", COMMAND_IOMMU},
	{"show-connections", "", "", 0, "", "Who is connected to the mediator", COMMAND_REQUEST},
	{"show-health", "", "", 0, "", "Exit code 7 if something is wrong", COMMAND_HEALTH},
	{"show-metrics", "", "", 0, " prometheus ", "Totals; or what Prometheus reads", COMMAND_REQUEST},
	{"metrics", "", "", 0, "", "The same as show-metrics --prometheus", COMMAND_METRICS},
	{"show-latency", "", "", 0, "", "How long calls take on the host, by class", COMMAND_REQUEST},
	{"show-usage", "", "", 0, "", "What top is made of, for programs (--json)", COMMAND_REQUEST},
	{"top", "", "", 0, " once interval ", "Who has the GPU, and who waits", COMMAND_TOP},
	{"record-workload", "FOLDER", "folder ", 1, " for replace ", "What tenants ask of the GPU, for the simulator",
	 COMMAND_RECORD},
	{"reload-config", "", "", 0, "", "Read mediator.conf again, as SIGHUP does", COMMAND_REQUEST},
	{NULL, NULL, NULL, 0, NULL, NULL, COMMAND_REQUEST},
};

const struct command_option command_options[] = {
	{"pool", "pool", "A-Z", "A pool; of update-vm also \"default\", which is the device's"},
	{"priority", "priority", "PRIORITY", "low, medium or high"},
	{"vm-id", "vm-id", "N", "The vm_id property of its device; without it the next free number"},
	{"uuid", "uuid", "UUID", "Of the VM"},
	{"name", "name", "NAME", "Of the VM or pool"},
	{"weight", "weight", "1-100", "Share within its priority"},
	{"processes", "processes", "N", "Programs at a time"},
	{"memory-mib", "memory-mib", "MIB", "Device memory, which it sees as the GPU's"},
	{"pinned-mib", "pinned-mib", "MIB", "Pinned host memory"},
	{"handles", "handles", "N", "Streams, events, modules and so on"},
	{"queue-depth", "queue-depth", "N", "Commands in flight of one program"},
	{"rate", "commands-per-second", "N", "Commands per second, by delay"},
	{"mib-per-second", "mib-per-second", "MIB", "Copied per second, by delay"},
	{"kernel-ms", "kernel-ms", "MS", "Longest kernel"},
	{"host-memory-mib", "host-memory-mib", "MIB", "Memory of the host that its executors take"},
	{"host-tasks", "host-tasks", "N", "Threads of its executors"},
	{"for", "for", "SECONDS", "How long; without it until it is cleared"},
	{"reason", "reason", "TEXT", "Why"},
	{"description", "description", "TEXT", "Of the pool"},
	{"policy", "policy", "NAME",
	 "Of a pool with GPUs of its own: fair, round-robin, priority, exclusive, none, default"},
	{"enabled", "enabled", "yes|no", "Whether the pool starts programs"},
	{"replace", "replace", "yes|no", "Whether a recording that goes on is discarded"},
	{NULL, NULL, NULL, NULL},
};

const struct command *command_find(const char *name)
{
	for (const struct command *command = commands; command->name; command++) {
		if (strcmp(command->name, name) == 0)
			return command;
	}
	return NULL;
}
