/* SPDX-License-Identifier: Apache-2.0 */
#include "permit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wakeup.h"

#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELAXED)

int permit_create(struct permit *ret_permit)
{
	struct permit permit = {.file = -1, .wake = -1, .wake_other = -1};
	void *page;
	int error;

	permit.file = memfd_create("vgpu-permit", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (permit.file < 0)
		return -1;
	if (ftruncate(permit.file, VGPU_SCHEDULE_PAGE_BYTES) < 0)
		goto fail;
	page = mmap(NULL, VGPU_SCHEDULE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, permit.file, 0);
	if (page == MAP_FAILED)
		goto fail;
	permit.page = page;
	/*
	 * Not against writing: the next mediator has to. An executor that wrote into its own would gain what it
	 * gains by not looking at it.
	 */
	if (fcntl(permit.file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail;
	if (wakeup_create(&permit.wake, &permit.wake_other) < 0)
		goto fail;
	permit.number = 1;
	permit.page->word = VGPU_PERMIT_WORD(permit.number, VGPU_PERMIT_CLOSED);
	*ret_permit = permit;
	return 0;
fail:
	error = errno;
	permit_destroy(&permit);
	errno = error;
	return -1;
}

int permit_adopt(struct permit *ret_permit, int file, int wake_fd)
{
	void *page = MAP_FAILED;

	errno = EINVAL;
	if (wakeup_is_own(wake_fd))
		page = mmap(NULL, VGPU_SCHEDULE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (page == MAP_FAILED) {
		close(file);
		close(wake_fd);
		return -1;
	}
	*ret_permit = (struct permit){.page = page, .file = file, .wake = wake_fd, .wake_other = -1};
	ret_permit->number = ret_permit->page->word >> VGPU_PERMIT_MODE_BITS;
	return 0;
}

void permit_destroy(struct permit *permit)
{
	if (permit->page)
		munmap(permit->page, VGPU_SCHEDULE_PAGE_BYTES);
	if (permit->file >= 0)
		close(permit->file);
	if (permit->wake >= 0)
		close(permit->wake);
	permit_sent(permit);
	*permit = (struct permit){.file = -1, .wake = -1, .wake_other = -1};
}

void permit_sent(struct permit *permit)
{
	if (permit->wake_other >= 0)
		close(permit->wake_other);
	permit->wake_other = -1;
}

void permit_set(struct permit *permit, enum vgpu_permit_mode mode, uint64_t until_ns)
{
	permit->number++;
	STORE(permit->page->until_ns, until_ns);
	__atomic_store_n(&permit->page->word, VGPU_PERMIT_WORD(permit->number, mode), __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wakeup_send(permit->wake);
}

void permit_until_set(struct permit *permit, uint64_t until_ns)
{
	STORE(permit->page->until_ns, until_ns);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wakeup_send(permit->wake);
}

void permit_bursts_set(struct permit *permit, uint64_t burst_ns, uint32_t burst_count, uint64_t linger_ns)
{
	STORE(permit->page->burst_count, burst_count);
	STORE(permit->page->burst_ns, burst_ns);
	STORE(permit->page->linger_ns, linger_ns);
}

void permit_drain_set(struct permit *permit, uint32_t drain_us)
{
	STORE(permit->page->drain_us, drain_us);
}

void permit_slow_call_set(struct permit *permit, uint64_t slow_call_ms)
{
	STORE(permit->page->slow_call_ms, slow_call_ms);
}

void permit_limits_set(struct permit *permit, const struct vgpu_limits *limits)
{
	struct vgpu_limits *there = &permit->page->limits;

	STORE(there->memory_bytes, limits->memory_bytes);
	STORE(there->pinned_bytes, limits->pinned_bytes);
	STORE(there->handles, limits->handles);
	STORE(there->queue_depth, limits->queue_depth);
	STORE(there->commands_per_second, limits->commands_per_second);
	STORE(there->bytes_per_second, limits->bytes_per_second);
	STORE(there->kernel_ms, limits->kernel_ms);
	permit_set(permit, permit_mode(permit), permit->page->until_ns);
}
