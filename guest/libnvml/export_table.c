/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private table that nvidia-smi asks for.  What its slots are was found by watching the program call
 * them: its id and slots 81 and 213 to 215 are published for 580.65.06 with NVIDIA's test infrastructure for
 * Kubernetes; 535.261.03 showed which of the lists is which. Slot 0 is the table's size in bytes; 81 gives
 * the handle of an index; 213 lists the processes that compute, 214 those under MPS, 215 those that draw.
 * The other slots answer that they are not supported, and nothing of them crosses to the host.
 */
#include <stdint.h>
#include <string.h>

#include "device.h"
#include "entry.h"
#include "library.h"
#include "nvml_abi.h"
#include "process.h"

#define SLOT_COUNT	   512
#define SLOT_HANDLE	   81
#define SLOT_COMPUTING	   213
#define SLOT_UNDER_MPS	   214
#define SLOT_DRAWING	   215
#define PROCESS_NAME_BYTES 4096

static const unsigned char table_id[16] = {0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
					   0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4};

/* One process as the table's functions list it. */
struct private_process {
	struct nvml_process_detail detail;
	char name[PROCESS_NAME_BYTES];
};
_Static_assert(sizeof(struct private_process) == 4128, "as nvidia-smi steps through them");

static int slot_refused(void)
{
	return library_refuse(NVML_ERROR_NOT_SUPPORTED);
}

static int slot_handle(unsigned int index, struct nvml_device **device)
{
	return device_find(index, device);
}

static int slot_processes(const struct nvml_device *device, unsigned int *count, struct private_process *list)
{
	struct vgpu_nvml_process processes[VGPU_NVML_PROCESSES_MAX];
	size_t there = 0;
	int result;

	if (!count || !list)
		return library_refuse(NVML_ERROR_INVALID_ARGUMENT);
	result = processes_get(device, processes, VGPU_NVML_PROCESSES_MAX, &there);
	if (result)
		return result;
	if (there > *count)
		there = *count;
	for (size_t i = 0; i < there; i++) {
		list[i].detail = (struct nvml_process_detail){
			.pid = processes[i].process_id,
			.used_bytes = processes[i].used_bytes,
			.gpu_instance = NVML_NO_INSTANCE,
			.compute_instance = NVML_NO_INSTANCE,
		};
		/* It may have ended since. */
		if (process_name_get(processes[i].process_id, list[i].name, sizeof(list[i].name)) != NVML_SUCCESS)
			strcpy(list[i].name, "-");
	}
	*count = (unsigned int)there;
	return NVML_SUCCESS;
}

static const void *const table[SLOT_COUNT] = {
	[0] = (const void *)(SLOT_COUNT * sizeof(void *)),
	[1 ... SLOT_HANDLE - 1] = (const void *)slot_refused,
	[SLOT_HANDLE] = (const void *)slot_handle,
	[SLOT_HANDLE + 1 ... SLOT_COMPUTING - 1] = (const void *)slot_refused,
	[SLOT_COMPUTING] = (const void *)slot_processes,
	[SLOT_UNDER_MPS] = (const void *)processes_none,
	[SLOT_DRAWING] = (const void *)processes_none,
	[SLOT_DRAWING + 1 ... SLOT_COUNT - 1] = (const void *)slot_refused,
};

NVML_API(nvmlInternalGetExportTable, const void **ret_table, const void *id)
{
	if (!ret_table || !id)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (memcmp(id, table_id, sizeof(table_id)) != 0)
		return NVML_ERROR_NOT_FOUND;
	*ret_table = table;
	return NVML_SUCCESS;
}
