/* SPDX-License-Identifier: Apache-2.0 */
/* Structures of NVML that hand-written code fills or reads; the layouts are those of nvml.h. */
#ifndef NVML_ABI_H
#define NVML_ABI_H

#include <stdint.h>

/* The first word of a structure that has versions. */
#define NVML_VERSION_WORD(type, version) ((unsigned int)(sizeof(type) | (unsigned int)(version) << 24))

#define NVML_VALUE_NOT_AVAILABLE (~0ull)
#define NVML_NO_INSTANCE	 0xffffffffu /* of a process: the device has no MIG instances */

struct nvml_pci_info {
	char bus_id_legacy[16];
	unsigned int domain;
	unsigned int bus;
	unsigned int device;
	unsigned int pci_device_id;
	unsigned int pci_subsystem_id;
	char bus_id[32];
};
_Static_assert(sizeof(struct nvml_pci_info) == 68, "nvmlPciInfo_t");

/* As nvmlDeviceGetPciInfo had it before its third version. */
struct nvml_pci_info_v1 {
	char bus_id_legacy[16];
	unsigned int domain;
	unsigned int bus;
	unsigned int device;
	unsigned int pci_device_id;
};
struct nvml_pci_info_v2 {
	struct nvml_pci_info_v1 v1;
	unsigned int pci_subsystem_id;
	unsigned int reserved[4];
};

struct nvml_memory {
	uint64_t total;
	uint64_t free;
	uint64_t used;
};
struct nvml_memory_v2 {
	unsigned int version;
	uint64_t total;
	uint64_t reserved;
	uint64_t free;
	uint64_t used;
};
_Static_assert(sizeof(struct nvml_memory_v2) == 40, "nvmlMemory_v2_t");

struct nvml_process_v1 {
	unsigned int pid;
	uint64_t used_bytes;
};
/* Also of the functions of version 3. */
struct nvml_process_v2 {
	unsigned int pid;
	uint64_t used_bytes;
	unsigned int gpu_instance;
	unsigned int compute_instance;
};
_Static_assert(sizeof(struct nvml_process_v2) == 24, "nvmlProcessInfo_t");

struct nvml_process_detail {
	unsigned int pid;
	uint64_t used_bytes;
	unsigned int gpu_instance;
	unsigned int compute_instance;
	uint64_t protected_bytes;
};
struct nvml_process_detail_list {
	unsigned int version;
	unsigned int mode; /* 0 compute, 1 graphics, 2 MPS, 3 all */
	unsigned int count;
	struct nvml_process_detail *processes;
};
_Static_assert(sizeof(struct nvml_process_detail_list) == 24, "nvmlProcessDetailList_v1_t");

struct nvml_utilization {
	unsigned int pid;
	uint64_t time_us;
	unsigned int compute;
	unsigned int memory;
	unsigned int encoder;
	unsigned int decoder;
};
_Static_assert(sizeof(struct nvml_utilization) == 32, "nvmlProcessUtilizationSample_t");

struct nvml_uuid {
	unsigned int version;
	unsigned int type; /* 1 text, 2 bytes */
	union {
		char text[41];
		unsigned char bytes[16];
	};
};
_Static_assert(sizeof(struct nvml_uuid) == 52, "nvmlUUID_v1_t");

#endif
