/* SPDX-License-Identifier: Apache-2.0 */
#include "counters.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "channel.h"
#include "latency.h"
#include "log.h"
#include "mediator.h"

#define PAGE_BYTES 4096

int counters_page_create(struct counters_page *ret_page)
{
	void *values;
	int error;
	int file = memfd_create("vgpu-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (file < 0)
		return -1;
	/* Sealed, for an executor that shrank it could end us with SIGBUS. */
	if (ftruncate(file, PAGE_BYTES) < 0 || fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail;
	values = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, file, 0);
	if (values == MAP_FAILED)
		goto fail;
	*ret_page = (struct counters_page){.values = values, .file = file};
	return 0;
fail:
	error = errno;
	close(file);
	errno = error;
	return -1;
}

int counters_page_adopt(struct counters_page *ret_page, int file)
{
	void *values = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, file, 0);

	if (values == MAP_FAILED) {
		close(file);
		return -1;
	}
	*ret_page = (struct counters_page){.values = values, .file = file};
	return 0;
}

void counters_page_destroy(struct counters_page *page)
{
	if (page->values)
		munmap((void *)(uintptr_t)page->values, PAGE_BYTES);
	if (page->file >= 0)
		close(page->file);
	*page = (struct counters_page){.values = NULL, .file = -1};
}

struct vgpu_executor_counters counters_page_read(const struct counters_page *page)
{
	const volatile struct vgpu_executor_counters *values = page->values;

	struct vgpu_executor_counters read = {0};

	if (!values)
		return read;
	read = (struct vgpu_executor_counters){
		.calls = values->calls,
		.launches = values->launches,
		.launches_chained = values->launches_chained,
		.bytes_to_device = values->bytes_to_device,
		.bytes_from_device = values->bytes_from_device,
		.errors = values->errors,
		.memory_bytes = values->memory_bytes,
		.pinned_bytes = values->pinned_bytes,
		.wakeups = values->wakeups,
	};
	for (int i = 0; i < VGPU_CLASS_COUNT; i++)
		read.latencies[i] = latency_read(&values->latencies[i]);
	return read;
}

void counters_add(struct vgpu_executor_counters *sum, const struct vgpu_executor_counters *values)
{
	sum->calls += values->calls;
	sum->launches += values->launches;
	sum->launches_chained += values->launches_chained;
	sum->bytes_to_device += values->bytes_to_device;
	sum->bytes_from_device += values->bytes_from_device;
	sum->errors += values->errors;
	sum->memory_bytes += values->memory_bytes;
	sum->pinned_bytes += values->pinned_bytes;
	sum->wakeups += values->wakeups;
	for (int i = 0; i < VGPU_CLASS_COUNT; i++)
		latency_add(&sum->latencies[i], &values->latencies[i]);
}

void counters_page_retire(struct counters *counters, uint32_t pool_id, const struct counters_page *page)
{
	struct vgpu_executor_counters values = counters_page_read(page);
	uint32_t pool = pool_id - 'A';

	if (pool >= POOL_COUNT)
		return;
	values.memory_bytes = 0;
	values.pinned_bytes = 0;
	counters_add(&counters->gone[pool], &values);
	counters->pools_seen |= 1u << pool;
}

struct vgpu_executor_counters counters_sum(const struct mediator *mediator, uint32_t pool_id)
{
	struct vgpu_executor_counters sum = {0};
	const struct channel *channel;

	for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
		if (pool_id == 0 || pool_id == 'A' + pool)
			counters_add(&sum, &mediator->counters.gone[pool]);
	}
	LIST_FOREACH(channel, &mediator->channels, link)
	{
		struct vgpu_executor_counters values = counters_page_read(&channel->counters);

		if (pool_id == 0 || pool_id == channel->pool_id)
			counters_add(&sum, &values);
	}
	return sum;
}

uint64_t counters_refusals(const struct counters *counters)
{
	uint64_t sum = 0;

	for (uint32_t pool = 0; pool < POOL_COUNT; pool++)
		sum += counters->refusals[pool];
	return sum;
}

void counters_log(const struct mediator *mediator)
{
	uint32_t pools = mediator->counters.pools_seen | 3; /* A and B are the operators' usual pools */
	const struct channel *channel;

	LIST_FOREACH(channel, &mediator->channels, link)
	pools |= 1u << (channel->pool_id - 'A');
	log_info("Total processed: %llu", (unsigned long long)counters_sum(mediator, 0).calls);
	for (uint32_t pool = 0; pool < POOL_COUNT; pool++) {
		if ((pools & 1u << pool) != 0)
			log_info("Pool %c processed: %llu", 'A' + (int)pool,
				 (unsigned long long)counters_sum(mediator, 'A' + pool).calls);
	}
}
