/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash by which the CUDA runtime makes sure that it talks to the driver
 * whose tables it was given: MD2 (RFC 1319) keyed as HMAC is, over the process,
 * the tables' addresses, the time and the devices.
 */
#ifndef VGPU_INTEGRITY_H
#define VGPU_INTEGRITY_H

#include <stddef.h>
#include <stdint.h>

struct integrity_process {
	uint32_t driver_version;
	uint32_t runtime_version;
	uint32_t process_id;
	uint32_t thread; /* low half of pthread_self() */
	uint64_t cudart_table;
	uint64_t integrity_table;
	uint64_t integrity_function;
	uint64_t unix_seconds;
};
_Static_assert(sizeof(struct integrity_process) == 48, "hashed as it lies in memory");

struct integrity_device {
	uint8_t uuid[16];
	int32_t pci_domain;
	int32_t pci_bus;
	int32_t pci_device;
};
_Static_assert(sizeof(struct integrity_device) == 28, "hashed as it lies in memory");

/* The answer for a runtime version; two of every ten versions have a fixed one. */
void integrity_compute(const struct integrity_process *process, const struct integrity_device *devices,
		       size_t device_count, uint64_t ret_hash[2]);

#endif
