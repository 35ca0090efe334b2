/* SPDX-License-Identifier: Apache-2.0 */
#include "account.h"

#include <stdlib.h>

#include "driver.h"
#include "executor.h"
#include "limit.h"

#define CAPACITY_FIRST 256

/* Addresses of allocations are multiples of this (CUDA programming guide), so it is the least that one takes. */
#define GRANULE_BYTES 512u

void account_open(struct account *account)
{
	/* The mediator takes so many lines of a peer's executors, among which those of errors are to be. */
	*account = (struct account){.log_limit = {.free_count = 40, .per_second = 5}};
}

/* NULL: one that is not counted. */
static struct vgpu_executor_device *device_counters(const struct executor *executor, CUdevice device)
{
	return device >= 0 && device < VGPU_COUNTED_DEVICES ? &executor->counters->devices[device] : NULL;
}

static void device_memory_add(struct executor *executor, CUdevice device, uint64_t bytes)
{
	struct vgpu_executor_device *counters = device_counters(executor, device);

	if (counters)
		counter_add(&counters->memory_bytes, bytes);
}

void account_overhead_add(struct executor *executor, CUdevice device, uint64_t bytes)
{
	device_memory_add(executor, device, bytes);
}

void account_context_add(struct executor *executor, CUdevice device)
{
	struct vgpu_executor_device *counters = device_counters(executor, device);

	if (!counters)
		return;
	__atomic_store_n(&counters->pci_place, driver_pci_place(&executor->driver, device), __ATOMIC_RELAXED);
	__atomic_store_n(&counters->contexts, counters->contexts + 1, __ATOMIC_RELEASE);
	gate_device_note(&executor->gate, device, true);
}

void account_context_remove(struct executor *executor, CUdevice device)
{
	struct vgpu_executor_device *counters = device_counters(executor, device);

	if (!counters)
		return;
	__atomic_store_n(&counters->contexts, counters->contexts - 1, __ATOMIC_RELEASE);
	if (!counters->contexts)
		gate_device_note(&executor->gate, device, false);
}

static size_t slot_of(const struct account *account, CUdeviceptr address)
{
	/* Fibonacci hashing; the low bits of addresses are zero. */
	return (size_t)((address >> 8) * 0x9e3779b97f4a7c15u >> 20) & (account->capacity - 1);
}

/* The slot that holds the address, or the free one where it would be. */
static struct allocation *slot_find(const struct account *account, CUdeviceptr address)
{
	size_t slot = slot_of(account, address);

	while (account->slots[slot].address && account->slots[slot].address != address)
		slot = (slot + 1) & (account->capacity - 1);
	return &account->slots[slot];
}

static CUresult account_reserve(struct account *account)
{
	struct account larger = *account;

	if (account->capacity && account->count + 1 <= account->capacity / 2)
		return CUDA_SUCCESS;
	larger.capacity = account->capacity ? 2 * account->capacity : CAPACITY_FIRST;
	larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
	if (!larger.slots)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < account->capacity; i++) {
		if (account->slots[i].address)
			*slot_find(&larger, account->slots[i].address) = account->slots[i];
	}
	free(account->slots);
	*account = larger;
	return CUDA_SUCCESS;
}

static uint64_t granules_of(uint64_t bytes)
{
	return bytes > UINT64_MAX - GRANULE_BYTES ? UINT64_MAX
						  : (bytes + GRANULE_BYTES - 1) / GRANULE_BYTES * GRANULE_BYTES;
}

CUresult account_admit(struct executor *executor, const char *call, uint64_t bytes)
{
	uint64_t charge = granules_of(bytes);
	CUresult result;

	if (log_limit_passes(&executor->account.log_limit))
		log_write("%s: allocating %llu bytes", call, (unsigned long long)bytes);
	result = account_reserve(&executor->account);
	if (!result)
		result = reserve_charge(executor, charge);
	executor->account.admitted = result ? 0 : charge;
	return result;
}

CUresult account_adjust(struct executor *executor, uint64_t bytes)
{
	struct account *account = &executor->account;
	uint64_t charge = granules_of(bytes);
	CUresult result = CUDA_SUCCESS;

	if (charge > account->admitted)
		result = reserve_charge(executor, charge - account->admitted);
	else
		memory_release(executor, account->admitted - charge);
	if (!result)
		account->admitted = charge;
	return result;
}

static void charge_end(struct executor *executor, const struct allocation *allocation)
{
	/* Charged as kept first: nobody else can have it before the driver has it. */
	if (allocation->source)
		reserve_freed(executor, allocation->source, allocation->charged);
	counter_add(&executor->counters->memory_bytes, -allocation->charged);
	memory_release(executor, allocation->charged);
	device_memory_add(executor, allocation->device, -allocation->charged);
}

void account_add(struct executor *executor, const char *call, CUresult result, CUdeviceptr address, uint64_t bytes,
		 uint32_t context)
{
	struct account *account = &executor->account;
	const struct context *owner;
	struct allocation *slot;
	uint64_t charged = account->admitted;

	context = context_owner_id(executor, context);
	if (result || !address)
		memory_release(executor, charged);
	account->admitted = 0;
	if (result) {
		if (log_limit_passes(&account->log_limit))
			log_write("%s FAILED: %s (%d)", call, driver_error_name(&executor->driver, result), result);
		return;
	}
	if (log_limit_passes(&account->log_limit))
		log_write("%s SUCCESS: 0x%llx", call, (unsigned long long)address);
	if (!address)
		return;
	slot = slot_find(account, address);
	if (slot->address)
		charge_end(executor, slot);
	else
		account->count++;
	owner = context_find(executor, context);
	*slot = (struct allocation){
		.address = address,
		.bytes = bytes,
		.charged = charged,
		.context = context,
		.device = owner ? owner->device : -1,
	};
	counter_add(&executor->counters->memory_bytes, charged);
	device_memory_add(executor, slot->device, charged);
}

/* Empties a slot and moves up what had been pushed past it. */
static void slot_clear(struct executor *executor, struct allocation *slot)
{
	struct account *account = &executor->account;
	size_t hole = (size_t)(slot - account->slots);
	size_t next = hole;

	charge_end(executor, slot);
	account->count--;
	for (;;) {
		size_t home;

		next = (next + 1) & (account->capacity - 1);
		if (!account->slots[next].address)
			break;
		home = slot_of(account, account->slots[next].address);
		if (((next - home) & (account->capacity - 1)) < ((next - hole) & (account->capacity - 1)))
			continue;
		account->slots[hole] = account->slots[next];
		hole = next;
	}
	account->slots[hole] = (struct allocation){0};
}

struct allocation *account_find(const struct executor *executor, CUdeviceptr address)
{
	struct allocation *slot;

	if (!executor->account.capacity || !address)
		return NULL;
	slot = slot_find(&executor->account, address);
	return slot->address ? slot : NULL;
}

void account_remove(struct executor *executor, CUdeviceptr address)
{
	struct allocation *slot = account_find(executor, address);

	if (slot)
		slot_clear(executor, slot);
}

void account_forget_context(struct executor *executor, uint32_t context)
{
	struct account *account = &executor->account;

	for (size_t i = 0; i < account->capacity;) {
		/* Clearing may move another entry here: look again. */
		if (account->slots[i].address && account->slots[i].context == context)
			slot_clear(executor, &account->slots[i]);
		else
			i++;
	}
}
