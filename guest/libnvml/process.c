/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "connection.h"
#include "device.h"
#include "entry.h"
#include "library.h"
#include "nvml_abi.h"
#include "vgpu_wire.h"

enum process_mode { MODE_COMPUTE, MODE_GRAPHICS, MODE_MPS, MODE_ALL };

int processes_get(const struct nvml_device *device, struct vgpu_nvml_process *processes, size_t room, size_t *ret_count)
{
	struct {
		struct vgpu_nvml_processes_reply header;
		struct vgpu_nvml_process processes[VGPU_NVML_PROCESSES_MAX];
	} reply;
	struct vgpu_nvml_device_request request = {0};
	const struct connection_piece piece = {&request, sizeof(request)};
	size_t bytes;
	int result = library_check();

	if (result)
		return result;
	if (!device_index(device, &request.device))
		return NVML_ERROR_INVALID_ARGUMENT;
	result = connection_request(VGPU_OPCODE_NVML_PROCESSES, &piece, 1, &reply, sizeof(reply), &bytes);
	if (result)
		return result;
	if (bytes < sizeof(reply.header) ||
	    reply.header.count > (bytes - sizeof(reply.header)) / sizeof(reply.processes[0]))
		return NVML_ERROR_UNKNOWN;
	if (reply.header.result)
		return reply.header.result;
	*ret_count = reply.header.count;
	if (room > *ret_count)
		room = *ret_count;
	if (room)
		memcpy(processes, reply.processes, room * sizeof(*processes));
	return NVML_SUCCESS;
}

/* Asks for the processes and checks the room that there is for them. */
static int list_get(const struct nvml_device *device, unsigned int *count, const void *infos,
		    struct vgpu_nvml_process *processes)
{
	size_t there;
	size_t room;
	int result;

	if (!count || (*count && !infos))
		return library_refuse(NVML_ERROR_INVALID_ARGUMENT);
	room = *count;
	result = processes_get(device, processes, VGPU_NVML_PROCESSES_MAX, &there);
	if (result)
		return result;
	*count = (unsigned int)there;
	return there > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

static int list_get_v1(const struct nvml_device *device, unsigned int *count, struct nvml_process_v1 *infos)
{
	struct vgpu_nvml_process processes[VGPU_NVML_PROCESSES_MAX];
	int result = list_get(device, count, infos, processes);

	for (unsigned int i = 0; !result && i < *count; i++)
		infos[i] = (struct nvml_process_v1){processes[i].process_id, processes[i].used_bytes};
	return result;
}

static int list_get_v2(const struct nvml_device *device, unsigned int *count, struct nvml_process_v2 *infos)
{
	struct vgpu_nvml_process processes[VGPU_NVML_PROCESSES_MAX];
	int result = list_get(device, count, infos, processes);

	for (unsigned int i = 0; !result && i < *count; i++)
		infos[i] = (struct nvml_process_v2){
			.pid = processes[i].process_id,
			.used_bytes = processes[i].used_bytes,
			.gpu_instance = NVML_NO_INSTANCE,
			.compute_instance = NVML_NO_INSTANCE,
		};
	return result;
}

NVML_API(nvmlDeviceGetComputeRunningProcesses, struct nvml_device *device, unsigned int *count,
	 struct nvml_process_v1 *infos)
{
	return list_get_v1(device, count, infos);
}

NVML_API(nvmlDeviceGetComputeRunningProcesses_v2, struct nvml_device *device, unsigned int *count,
	 struct nvml_process_v2 *infos)
{
	return list_get_v2(device, count, infos);
}

NVML_API(nvmlDeviceGetComputeRunningProcesses_v3, struct nvml_device *device, unsigned int *count,
	 struct nvml_process_v2 *infos)
{
	return list_get_v2(device, count, infos);
}

int processes_none(const struct nvml_device *device, unsigned int *count)
{
	unsigned int index;
	int result = library_check();

	if (result)
		return result;
	if (!count || !device_index(device, &index))
		return NVML_ERROR_INVALID_ARGUMENT;
	*count = 0;
	return NVML_SUCCESS;
}

#define NONE_API(name)                                                                     \
	NVML_API(name, const struct nvml_device *device, unsigned int *count, void *infos) \
	{                                                                                  \
		(void)infos;                                                               \
		return processes_none(device, count);                                      \
	}

NONE_API(nvmlDeviceGetGraphicsRunningProcesses)
NONE_API(nvmlDeviceGetGraphicsRunningProcesses_v2)
NONE_API(nvmlDeviceGetGraphicsRunningProcesses_v3)
NONE_API(nvmlDeviceGetMPSComputeRunningProcesses)
NONE_API(nvmlDeviceGetMPSComputeRunningProcesses_v2)
NONE_API(nvmlDeviceGetMPSComputeRunningProcesses_v3)

NVML_API(nvmlDeviceGetRunningProcessDetailList, const struct nvml_device *device, struct nvml_process_detail_list *list)
{
	struct vgpu_nvml_process processes[VGPU_NVML_PROCESSES_MAX];
	size_t there = 0;
	size_t room;
	int result = library_check();

	if (result)
		return result;
	if (!list)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (list->version != NVML_VERSION_WORD(struct nvml_process_detail_list, 1))
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	if (list->mode > MODE_ALL)
		return NVML_ERROR_INVALID_ARGUMENT;
	result = processes_get(device, processes, VGPU_NVML_PROCESSES_MAX, &there);
	if (result)
		return result;
	if (list->mode != MODE_COMPUTE && list->mode != MODE_ALL)
		there = 0;
	room = list->processes ? list->count : 0;
	list->count = (unsigned int)there;
	if (there > room)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	for (size_t i = 0; i < there; i++)
		list->processes[i] = (struct nvml_process_detail){
			.pid = processes[i].process_id,
			.used_bytes = processes[i].used_bytes,
			.gpu_instance = NVML_NO_INSTANCE,
			.compute_instance = NVML_NO_INSTANCE,
		};
	return NVML_SUCCESS;
}

static int utilization_get(const struct nvml_device *device, uint64_t since_us, struct vgpu_nvml_utilization *samples,
			   size_t *ret_count)
{
	struct {
		struct vgpu_nvml_processes_reply header;
		struct vgpu_nvml_utilization samples[VGPU_NVML_PROCESSES_MAX];
	} reply;
	struct vgpu_nvml_device_request request = {.since_us = since_us};
	const struct connection_piece piece = {&request, sizeof(request)};
	size_t bytes;
	int result;

	if (!device_index(device, &request.device))
		return NVML_ERROR_INVALID_ARGUMENT;
	result = connection_request(VGPU_OPCODE_NVML_UTILIZATION, &piece, 1, &reply, sizeof(reply), &bytes);
	if (result)
		return result;
	if (bytes < sizeof(reply.header) ||
	    reply.header.count > (bytes - sizeof(reply.header)) / sizeof(reply.samples[0]))
		return NVML_ERROR_UNKNOWN;
	*ret_count = reply.header.count;
	memcpy(samples, reply.samples, *ret_count * sizeof(*samples));
	return reply.header.result;
}

NVML_API(nvmlDeviceGetProcessUtilization, const struct nvml_device *device, struct nvml_utilization *infos,
	 unsigned int *count, unsigned long long since_us)
{
	struct vgpu_nvml_utilization samples[VGPU_NVML_PROCESSES_MAX];
	size_t there = 0;
	size_t room;
	int result = library_check();

	if (result)
		return result;
	if (!count)
		return NVML_ERROR_INVALID_ARGUMENT;
	result = utilization_get(device, since_us, samples, &there);
	if (result)
		return result;
	room = infos ? *count : 0;
	*count = (unsigned int)there;
	if (there > room)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	for (size_t i = 0; i < there; i++)
		infos[i] = (struct nvml_utilization){
			.pid = samples[i].process_id,
			.time_us = samples[i].time_us,
			.compute = samples[i].compute,
			.memory = samples[i].memory,
			.encoder = samples[i].encoder,
			.decoder = samples[i].decoder,
		};
	return NVML_SUCCESS;
}

int process_name_get(unsigned int process_id, char *name, size_t bytes)
{
	char path[64];
	ssize_t length;
	int file;

	snprintf(path, sizeof(path), "/proc/%u/cmdline", process_id);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return errno == ENOENT ? NVML_ERROR_NOT_FOUND : NVML_ERROR_NO_PERMISSION;
	do
		length = read(file, name, bytes - 1);
	while (length < 0 && errno == EINTR);
	close(file);
	/* The process ended meanwhile, or is one of the kernel's. */
	if (length <= 0)
		return NVML_ERROR_NOT_FOUND;
	name[length] = '\0';
	return NVML_SUCCESS;
}

NVML_API(nvmlSystemGetProcessName, unsigned int process_id, char *name, unsigned int bytes)
{
	int result = library_check();

	if (result)
		return result;
	if (!name || bytes == 0)
		return NVML_ERROR_INVALID_ARGUMENT;
	return process_name_get(process_id, name, bytes);
}
