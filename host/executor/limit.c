/* SPDX-License-Identifier: Apache-2.0 */
#include "limit.h"

#include "executor.h"

/* What may come at once after a pause, in time at the allowed rate. */
#define RATE_BURST_NS 100000000u
#define NS_PER_SECOND 1000000000u

/*
 * Of one processor the eighth part, after half a second at once for who asks now and then: nvidia-smi asks for some ten
 * milliseconds. What a request costs beside the call itself is a guess. One that the driver or the mediator keeps
 * waiting is not held against the tenant for long.
 */
#define TELEMETRY_PART	      8u
#define TELEMETRY_BURST_NS    (500000000ull * TELEMETRY_PART)
#define TELEMETRY_REQUEST_NS  40000u
#define TELEMETRY_USED_NS_MAX 100000000u

#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* Never above the limit, and never refused because of somebody who is refused as well. */
static CUresult amount_charge(uint64_t *tenant_sum, uint64_t *own_sum, uint64_t amount, uint64_t limit)
{
	uint64_t sum = __atomic_load_n(tenant_sum, __ATOMIC_RELAXED);

	do {
		if (amount > UINT64_MAX - sum || (limit && sum + amount > limit))
			return CUDA_ERROR_OUT_OF_MEMORY;
	} while (
		!__atomic_compare_exchange_n(tenant_sum, &sum, sum + amount, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	/* After: dying in between leaves too much charged until the tenant's last process ends, not too little. */
	counter_add(own_sum, amount);
	return CUDA_SUCCESS;
}

static void amount_release(uint64_t *tenant_sum, uint64_t *own_sum, uint64_t amount)
{
	counter_add(own_sum, -amount);
	__atomic_fetch_sub(tenant_sum, amount, __ATOMIC_ACQ_REL);
}

CUresult memory_charge(struct executor *executor, uint64_t bytes)
{
	if (!executor->tenant)
		return CUDA_SUCCESS;
	return amount_charge(&executor->tenant->memory_bytes, &executor->gate.own->memory_charged, bytes,
			     LOAD(executor->gate.permit->limits.memory_bytes));
}

void memory_note(struct executor *executor, uint64_t bytes)
{
	if (executor->tenant)
		amount_charge(&executor->tenant->memory_bytes, &executor->gate.own->memory_charged, bytes, 0);
}

void memory_release(struct executor *executor, uint64_t bytes)
{
	if (executor->tenant)
		amount_release(&executor->tenant->memory_bytes, &executor->gate.own->memory_charged, bytes);
}

bool memory_is_limited(const struct executor *executor)
{
	return executor->tenant && LOAD(executor->gate.permit->limits.memory_bytes);
}

bool memory_is_exceeded(const struct executor *executor)
{
	uint64_t limit = LOAD(executor->gate.permit->limits.memory_bytes);

	return executor->tenant && limit && LOAD(executor->tenant->memory_bytes) > limit;
}

CUresult pinned_charge(struct executor *executor, uint64_t bytes)
{
	if (!executor->tenant)
		return CUDA_SUCCESS;
	return amount_charge(&executor->tenant->pinned_bytes, &executor->gate.own->pinned_charged, bytes,
			     LOAD(executor->gate.permit->limits.pinned_bytes));
}

void pinned_release(struct executor *executor, uint64_t bytes)
{
	if (executor->tenant)
		amount_release(&executor->tenant->pinned_bytes, &executor->gate.own->pinned_charged, bytes);
}

static uint64_t handles_count(const struct executor *executor)
{
	uint64_t count = 0;

	for (int kind = 0; kind < VGPU_KIND_COUNT; kind++)
		count += executor->handles.tables[kind].count;
	return count;
}

CUresult limit_handles_admit(struct executor *executor)
{
	uint64_t limit = LOAD(executor->gate.permit->limits.handles);
	uint64_t *charged = &executor->gate.own->handles;
	uint64_t count;

	if (!executor->tenant || !limit)
		return CUDA_SUCCESS;
	count = handles_count(executor);
	/* Objects end in many ways, with their contexts among others: what is there is counted when it matters. */
	if (*charged > count)
		amount_release(&executor->tenant->handles, charged, *charged - count);
	return amount_charge(&executor->tenant->handles, charged, count + 1 - *charged, limit);
}

void limit_memory_view(const struct executor *executor, uint64_t *free_bytes, uint64_t *total_bytes)
{
	uint64_t limit = LOAD(executor->gate.permit->limits.memory_bytes);
	uint64_t used;
	uint64_t left;

	if (!executor->tenant || !limit || limit >= *total_bytes)
		return;
	used = LOAD(executor->tenant->memory_bytes);
	left = used < limit ? limit - used : 0;
	*total_bytes = limit;
	if (left < *free_bytes)
		*free_bytes = left;
}

/*
 * The generic cell rate algorithm: *free_ns is when all that was let through is paid for. 0, or how long
 * to wait.
 */
static uint64_t rate_wait(const uint64_t *free_ns, uint64_t burst_ns, uint64_t now)
{
	uint64_t paid = LOAD(*free_ns);

	return paid > now + burst_ns ? paid - now - burst_ns : 0;
}

static void rate_pay(uint64_t *free_ns, uint64_t amount, uint64_t per_second, uint64_t now)
{
	uint64_t cost = (uint64_t)((unsigned __int128)amount * NS_PER_SECOND / per_second);
	uint64_t paid = LOAD(*free_ns);
	uint64_t next;

	do
		next = (paid > now ? paid : now) + cost;
	while (!__atomic_compare_exchange_n(free_ns, &paid, next, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

bool limit_rate_admits(struct executor *executor, uint64_t now)
{
	const struct vgpu_limits *limits = &executor->gate.permit->limits;
	uint64_t commands = LOAD(limits->commands_per_second);
	uint64_t bytes = LOAD(limits->bytes_per_second);
	struct vgpu_tenant_page *tenant = executor->tenant;
	struct gate *gate = &executor->gate;
	uint64_t copied;
	uint64_t wait = 0;

	if (!tenant || (!commands && !bytes)) {
		gate->delayed_until_ns = 0;
		return true;
	}
	copied = executor->counters->bytes_to_device + executor->counters->bytes_from_device;
	if (bytes && copied > executor->bytes_paid)
		rate_pay(&tenant->bytes_free_ns, copied - executor->bytes_paid, bytes, now);
	executor->bytes_paid = copied;
	if (bytes)
		wait = rate_wait(&tenant->bytes_free_ns, RATE_BURST_NS, now);
	if (commands && rate_wait(&tenant->commands_free_ns, RATE_BURST_NS, now) > wait)
		wait = rate_wait(&tenant->commands_free_ns, RATE_BURST_NS, now);
	if (wait) {
		if (!gate->delayed_until_ns)
			counter_add(&gate->own->delays, 1);
		gate->delayed_until_ns = now + wait;
		return false;
	}
	gate->delayed_until_ns = 0;
	return true;
}

void limit_rate_pay(struct executor *executor, uint64_t now)
{
	uint64_t commands = LOAD(executor->gate.permit->limits.commands_per_second);

	if (executor->tenant && commands)
		rate_pay(&executor->tenant->commands_free_ns, 1, commands, now);
}

/* Where nobody schedules there is one executor, and no page. */
static uint64_t *telemetry_free(const struct executor *executor)
{
	static uint64_t own_free_ns;

	return executor->tenant ? &executor->tenant->telemetry_free_ns : &own_free_ns;
}

uint64_t limit_telemetry_wait(struct executor *executor, uint64_t now)
{
	uint64_t wait = rate_wait(telemetry_free(executor), TELEMETRY_BURST_NS, now);
	uint64_t commands_wait = 0;

	if (executor->tenant && LOAD(executor->gate.permit->limits.commands_per_second))
		commands_wait = rate_wait(&executor->tenant->commands_free_ns, RATE_BURST_NS, now);
	return wait > commands_wait ? wait : commands_wait;
}

void limit_telemetry_pay(struct executor *executor, uint64_t used_ns, uint64_t now)
{
	if (used_ns > TELEMETRY_USED_NS_MAX)
		used_ns = TELEMETRY_USED_NS_MAX;
	rate_pay(telemetry_free(executor), (used_ns + TELEMETRY_REQUEST_NS) * TELEMETRY_PART, NS_PER_SECOND, now);
	limit_rate_pay(executor, now);
}
