/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds of fuzz_mediator: what programs, devices, executors and vgpu-admin say, in the order in which they do. */
#include <stddef.h>

#include "mediator_steps.h"
#include "seeds.h"
#include "steps.h"
#include "vgpu_channel.h"
#include "vgpu_control.h"

#define POOL_HERE     'A'
#define POOL_WORKER   'B' /* as the target has it set */
#define CHANNEL_COUNT 2
#define VM_ID	      7

static void step_put(FILE *file, enum mediator_step kind, unsigned value, const void *data, size_t bytes)
{
	const struct step step = {.kind = (uint8_t)kind, .value = (uint8_t)value, .bytes = (uint16_t)bytes};

	if (fwrite(&step, sizeof(step), 1, file) != 1 || (bytes && fwrite(data, bytes, 1, file) != 1))
		seed_fail("a step");
}

static void text_put(FILE *file, enum mediator_step kind, unsigned value, const char *text)
{
	step_put(file, kind, value, text, strlen(text));
}

/* A message's header is written here. */
static void message_put(FILE *file, enum mediator_step kind, unsigned value, enum vgpu_control_type type, void *message,
			size_t bytes)
{
	const struct vgpu_control_header header = {
		.magic = VGPU_CONTROL_MAGIC, .type = type, .bytes = (uint32_t)bytes, .version = VGPU_PROTOCOL_VERSION};

	memcpy(message, &header, sizeof(header));
	step_put(file, kind, value, message, bytes);
}

static void channel_put(FILE *file, enum mediator_step kind, unsigned value, enum vgpu_control_type type,
			enum vgpu_channel_error error)
{
	struct vgpu_control_channel message = {.generation = 1, .error = error, .text = "why"};

	message_put(file, kind, value, type, &message, sizeof(message));
}

static FILE *begin(const char *name, uint8_t flags)
{
	FILE *file = seed_open("mediator", name);

	fputc(flags, file);
	return file;
}

static void program_put(FILE *file, unsigned peer, uint32_t job_vm_id)
{
	struct vgpu_control_client_hello hello = {.job_vm_id = job_vm_id, .process_name = "program"};

	step_put(file, PEER_CONNECTS, 0, NULL, 0);
	message_put(file, PEER_SAYS, peer, VGPU_CONTROL_CLIENT_HELLO, &hello, sizeof(hello));
}

static void share_put(FILE *file, enum vgpu_control_type type, uint32_t kind, unsigned with)
{
	struct vgpu_control_share share = {.serial = 1, .kind = kind, .handle = {1}};

	message_put(file, CHILD_SAYS, CHILD_EXECUTOR | with, type, &share, sizeof(share));
}

static void program_write(void)
{
	FILE *file = begin("program", 0);
	struct vgpu_control_guest_process process = {.process_id = 1};
	struct vgpu_control_driver_result result = {.name = "CUDA_SUCCESS"};
	struct vgpu_control_tenant_query query = {.pci_place = VGPU_PCI_PLACE(0, 1, 0)};

	program_put(file, 0, 0);
	channel_put(file, CHILD_SAYS, CHILD_EXECUTOR, VGPU_CONTROL_EXECUTOR_READY, VGPU_ERROR_NONE);
	message_put(file, CHILD_SAYS, CHILD_EXECUTOR, VGPU_CONTROL_GUEST_PROCESS, &process, sizeof(process));
	message_put(file, CHILD_SAYS, CHILD_EXECUTOR, VGPU_CONTROL_DRIVER_RESULT, &result, sizeof(result));
	step_put(file, PEER_READS, 0, NULL, 0);
	message_put(file, CHILD_SAYS, CHILD_EXECUTOR, VGPU_CONTROL_TENANT_QUERY, &query, sizeof(query));
	share_put(file, VGPU_CONTROL_SHARE_PUBLISH, VGPU_SHARE_MEMORY, WITH_NONE);
	share_put(file, VGPU_CONTROL_SHARE_PUBLISH, VGPU_SHARE_ALLOCATION, WITH_EVENTFD);
	share_put(file, VGPU_CONTROL_SHARE_QUERY, VGPU_SHARE_ALLOCATION, WITH_NONE);
	share_put(file, VGPU_CONTROL_SHARE_WITHDRAW, VGPU_SHARE_MEMORY, WITH_NONE);
	text_put(file, CHILD_PRINTS, CHILD_EXECUTOR, "[executor] a line\nand half a line");
	channel_put(file, CHILD_SAYS, CHILD_EXECUTOR, VGPU_CONTROL_EXECUTOR_FAULT, VGPU_ERROR_PROTOCOL);
	step_put(file, CHILD_ENDS, CHILD_EXECUTOR, "\x02", 1);
	step_put(file, PEER_GOES, 0, NULL, 0);
	seed_close(file, "program");
}

static void device_put(FILE *file, uint32_t pool_id)
{
	struct vgpu_control_device_hello hello = {
		.vm_id = VM_ID,
		.pool_id = pool_id,
		.priority = VGPU_PRIORITY_MEDIUM,
		.channel_count = CHANNEL_COUNT,
		.channel_bytes = VGPU_CHANNEL_BYTES_MIN,
		.vm_name = "vm",
	};

	step_put(file, PEER_CONNECTS, 1, NULL, 0);
	message_put(file, PEER_SAYS, WITH_MEMORY, VGPU_CONTROL_DEVICE_HELLO, &hello, sizeof(hello));
	channel_put(file, PEER_SAYS, WITH_EVENTFDS, VGPU_CONTROL_CHANNEL_OPEN, VGPU_ERROR_NONE);
}

static void device_write(void)
{
	FILE *file = begin("device", MEDIATOR_FLAG_ROOT);

	device_put(file, POOL_HERE);
	channel_put(file, CHILD_SAYS, CHILD_EXECUTOR, VGPU_CONTROL_EXECUTOR_READY, VGPU_ERROR_NONE);
	step_put(file, PEER_READS, 0, NULL, 0);
	program_put(file, 1, VM_ID);
	channel_put(file, PEER_SAYS, 0, VGPU_CONTROL_CHANNEL_CLOSE, VGPU_ERROR_NONE);
	channel_put(file, PEER_SAYS, WITH_EVENTFDS, VGPU_CONTROL_CHANNEL_OPEN, VGPU_ERROR_NONE);
	step_put(file, CHILD_ENDS, CHILD_EXECUTOR, "\x90", 1);
	seed_close(file, "device");
}

static void relay_write(void)
{
	FILE *file = begin("relay", 0);

	text_put(file, CHILD_PRINTS, CHILD_WATCH,
		 "driver_version=12080\ndevice=0 name=\"GPU\" uuid=GPU-2 memory=1 pci=0000:02:00.0 "
		 "reaches_host=0\nready\n");
	text_put(file, CHILD_PRINTS, CHILD_WATCH,
		 "sensors: uuid=GPU-2 utilization=5 memory_used=7 ecc_corrected=1\nsensors: end\n");
	text_put(file, CHILD_PRINTS, CHILD_WATCH, "uuid=GPU-2 xid=13\nuuid=GPU-2 ecc=1\n");
	device_put(file, POOL_WORKER);
	channel_put(file, CHILD_SAYS, CHILD_EXECUTOR, VGPU_CONTROL_EXECUTOR_FAILED, VGPU_ERROR_REFUSED);
	text_put(file, CHILD_PRINTS, CHILD_WATCH | 16, "the link was lost\n");
	step_put(file, CHILD_ENDS, CHILD_WATCH, "\x01", 1);
	text_put(file, ADMINISTRATOR_ASKS, 1,
		 "{\"command\": \"show-metrics\", \"arguments\": {\"format\": \"prometheus\"}}");
	seed_close(file, "relay");
}

static void telemetry_write(void)
{
	FILE *file = begin("telemetry", 0);

	text_put(file, CHILD_PRINTS, CHILD_SENSORS,
		 "uuid=GPU-1 utilization=5 memory_utilization=6 memory_used=7 temperature=40 power=100000 "
		 "ecc_corrected=1 "
		 "ecc_uncorrected=2\n");
	text_put(file, CHILD_PRINTS, CHILD_EVENTS, "uuid=GPU-1 xid=79\nuuid=GPU-1 ecc=1\nuuid=GPU-1 xid=13\n");
	step_put(file, CHILD_ENDS, CHILD_SENSORS, "", 1);
	text_put(file, ADMINISTRATOR_ASKS, 0,
		 "{\"command\": \"show-metrics\", \"arguments\": {\"format\": \"prometheus\"}}");
	text_put(file, ADMINISTRATOR_ASKS, 0, "{\"command\": \"show-health\"}");
	seed_close(file, "telemetry");
}

/* Each in a file of its own, after a VM that it may be about. */
static void requests_write(void)
{
	static const char *const requests[] = {
		"{\"command\": \"status\"}",
		"{\"command\": \"list-vms\", \"arguments\": {\"pool\": \"A\", \"priority\": \"medium\"}}",
		"{\"command\": \"list-pools\"}",
		"{\"command\": \"scan-gpus\"}",
		"{\"command\": \"show-connections\"}",
		"{\"command\": \"show-weights\"}",
		"{\"command\": \"show-rate-limits\"}",
		"{\"command\": \"show-latency\"}",
		"{\"command\": \"show-usage\"}",
		"{\"command\": \"reload-config\"}",
		"{\"command\": \"register-vm\", \"arguments\": {\"uuid\": \"00000000-0000-0000-0000-000000000001\", "
		"\"name\": \"other\", \"vm-id\": \"9\", \"pool\": \"B\", \"weight\": \"30\"}}",
		"{\"command\": \"update-vm\", \"arguments\": {\"vm\": \"7\", \"name\": \"new\", \"memory-mib\": "
		"\"100\", "
		"\"kernel-ms\": 5, \"priority\": \"high\"}}",
		"{\"command\": \"set-pool\", \"arguments\": {\"vm\": \"vm\", \"pool\": \"B\"}}",
		"{\"command\": \"set-priority\", \"arguments\": {\"vm\": \"7\", \"priority\": \"low\"}}",
		"{\"command\": \"set-vm-id\", \"arguments\": {\"vm\": \"7\", \"new-id\": \"8\"}}",
		"{\"command\": \"set-weight\", \"arguments\": {\"vm\": \"user:1000\", \"weight\": 30}}",
		"{\"command\": \"set-rate-limit\", \"arguments\": {\"vm\": \"7\", \"commands-per-second\": \"10\"}}",
		"{\"command\": \"quarantine-vm\", \"arguments\": {\"vm\": \"7\", \"for\": \"60\", \"reason\": \"x\"}}",
		"{\"command\": \"clear-quarantine\", \"arguments\": {\"vm\": \"7\"}}",
		"{\"command\": \"show-vm\", \"arguments\": {\"vm\": \"7\"}}",
		"{\"command\": \"remove-vm\", \"arguments\": {\"vm\": \"7\"}}",
		"{\"command\": \"update-pool\", \"arguments\": {\"pool\": \"A\", \"name\": \"n\", \"description\": "
		"\"d\", "
		"\"policy\": \"fair\", \"enabled\": \"no\"}}",
		"{\"command\": \"assign-gpu\", \"arguments\": {\"gpu\": \"GPU-1\", \"pool\": \"A\"}}",
		"{\"command\": \"clear-gpu\", \"arguments\": {\"gpu\": \"GPU-1\"}}",
		"{\"command\": \"record-workload\", \"arguments\": {\"for\": \"1\"}}",
		"{\"command\": \"record-end\", \"arguments\": {\"number\": \"1\"}}",
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		char name[32];
		FILE *file;

		snprintf(name, sizeof(name), "request%zu", i);
		file = begin(name, 0);
		device_put(file, POOL_HERE);
		text_put(file, ADMINISTRATOR_ASKS, 1, requests[i]);
		seed_close(file, name);
	}
}

void seeds_mediator_write(void)
{
	program_write();
	device_write();
	relay_write();
	telemetry_write();
	requests_write();
}
