/* SPDX-License-Identifier: Apache-2.0 */
#include "mig.h"

#include <stdio.h>
#include <string.h>

#include "nvml.h"
#include "nvml_abi.h"
#include "nvml_functions.h"

#define NVML_DEVICE_MIG_ENABLE 1 /* nvml.h */

typedef int nvml_memory(void *handle, struct nvml_memory *memory);
typedef int nvml_pci(void *handle, struct nvml_pci_info *pci);
typedef int nvml_mode(void *handle, unsigned int *current, unsigned int *pending);
typedef int nvml_number_of(void *handle, unsigned int *number);
typedef int nvml_handle_of(void *handle, unsigned int index, void **ret_handle);

struct library {
	struct nvml nvml;
	nvml_text *name;
	nvml_memory *memory;
	nvml_pci *pci;
	nvml_mode *mig_mode;
	nvml_number_of *mig_count_max;
	nvml_handle_of *mig_handle;
	nvml_number_of *gpu_instance;
	nvml_number_of *compute_instance;
};

/* False: there is none, or it is older than MIG. */
static bool library_open(struct library *ret_library)
{
	struct nvml nvml;

	if (nvml_open(&nvml) != NVML_SUCCESS)
		return false;
	*ret_library = (struct library){
		.nvml = nvml,
		.name = (nvml_text *)nvml_function(&nvml, "nvmlDeviceGetName"),
		.memory = (nvml_memory *)nvml_function(&nvml, "nvmlDeviceGetMemoryInfo"),
		.pci = (nvml_pci *)nvml_function(&nvml, "nvmlDeviceGetPciInfo_v3"),
		.mig_mode = (nvml_mode *)nvml_function(&nvml, "nvmlDeviceGetMigMode"),
		.mig_count_max = (nvml_number_of *)nvml_function(&nvml, "nvmlDeviceGetMaxMigDeviceCount"),
		.mig_handle = (nvml_handle_of *)nvml_function(&nvml, "nvmlDeviceGetMigDeviceHandleByIndex"),
		.gpu_instance = (nvml_number_of *)nvml_function(&nvml, "nvmlDeviceGetGpuInstanceId"),
		.compute_instance = (nvml_number_of *)nvml_function(&nvml, "nvmlDeviceGetComputeInstanceId"),
	};
	return ret_library->name && ret_library->memory && ret_library->pci && ret_library->mig_mode &&
	       ret_library->mig_count_max && ret_library->mig_handle && ret_library->gpu_instance &&
	       ret_library->compute_instance;
}

static bool is_in_mig_mode(const struct library *library, void *gpu)
{
	unsigned int current = 0;
	unsigned int pending;

	/* GPUs that cannot have it answer with an error. */
	return library->mig_mode(gpu, &current, &pending) == NVML_SUCCESS && current == NVML_DEVICE_MIG_ENABLE;
}

/* Of a GPU or an instance; what is the GPU's alone is left out. */
static bool unit_read(const struct library *library, void *device, struct mig_unit *ret_unit)
{
	struct mig_unit unit = {.name = ""};
	struct nvml_memory memory;

	if (library->nvml.uuid(device, unit.uuid, sizeof(unit.uuid) - 1) != NVML_SUCCESS ||
	    library->name(device, unit.name, sizeof(unit.name) - 1) != NVML_SUCCESS ||
	    library->memory(device, &memory) != NVML_SUCCESS)
		return false;
	unit.memory_bytes = memory.total;
	*ret_unit = unit;
	return true;
}

/* Appends the GPU's instances. */
static unsigned instances_list(const struct library *library, void *gpu, unsigned index, const struct mig_unit *whole,
			       struct mig_unit *units, unsigned count)
{
	unsigned int most = 0;

	if (library->mig_count_max(gpu, &most) != NVML_SUCCESS)
		return count;
	for (unsigned int i = 0; i < most && count < MIG_UNITS_MAX; i++) {
		struct mig_unit *unit = &units[count];
		unsigned int instance = 0;
		unsigned int compute = 0;
		void *device = NULL;

		/* Not every number has one. */
		if (library->mig_handle(gpu, i, &device) != NVML_SUCCESS || !unit_read(library, device, unit) ||
		    library->gpu_instance(device, &instance) != NVML_SUCCESS ||
		    library->compute_instance(device, &compute) != NVML_SUCCESS)
			continue;
		memcpy(unit->pci, whole->pci, sizeof(unit->pci));
		memcpy(unit->parent, whole->uuid, sizeof(unit->parent));
		if (compute)
			snprintf(unit->instance, sizeof(unit->instance), "%u:%u:%u", index & 0xff, instance & 0xff,
				 compute & 0xff);
		else
			snprintf(unit->instance, sizeof(unit->instance), "%u:%u", index & 0xff, instance & 0xff);
		count++;
	}
	return count;
}

unsigned mig_units_list(struct mig_unit ret_units[MIG_UNITS_MAX])
{
	struct library library;
	unsigned int gpus = 0;
	unsigned count = 0;
	bool any = false;

	if (!library_open(&library) || library.nvml.count(&gpus) != NVML_SUCCESS)
		return 0;
	for (unsigned int i = 0; i < gpus && count < MIG_UNITS_MAX; i++) {
		struct mig_unit whole;
		struct nvml_pci_info pci;
		void *gpu = NULL;

		if (library.nvml.handle(i, &gpu) != NVML_SUCCESS || !unit_read(&library, gpu, &whole) ||
		    library.pci(gpu, &pci) != NVML_SUCCESS)
			continue;
		snprintf(whole.pci, sizeof(whole.pci), "%04x:%02x:%02x.0", pci.domain & 0xffff, pci.bus & 0xff,
			 pci.device & 0xff);
		if (is_in_mig_mode(&library, gpu)) {
			any = true;
			count = instances_list(&library, gpu, i, &whole, ret_units, count);
		} else {
			ret_units[count++] = whole;
		}
	}
	return any ? count : 0;
}

bool mig_units_have(const struct mig_unit *units, unsigned count, const char *uuid)
{
	for (unsigned i = 0; i < count; i++) {
		if (units[i].parent[0] && strcmp(units[i].uuid, uuid) == 0)
			return true;
	}
	return false;
}
