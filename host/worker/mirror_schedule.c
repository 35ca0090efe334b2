/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror_schedule.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory_file.h"
#include "pause.h"
#include "wakeup.h"

/* Kernels that may not be longer than some time are looked at in a part of it. */
#define WATCH_PART   8
#define WATCH_MS_MIN 10
#define WATCH_MS_MAX 250

#define LOAD(field)	    __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELAXED)

int mirror_schedule_open(struct mirror_schedule *schedule)
{
	void *page;

	schedule->file = memory_file_create("vgpu-permit", VGPU_SCHEDULE_PAGE_BYTES);
	schedule->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (schedule->file < 0 || schedule->bell < 0 || wakeup_create(&schedule->wake, &schedule->wake_other) < 0)
		return -1;
	schedule->rung = wakeup_listen(schedule->bell);
	if (schedule->rung < 0)
		return -1;
	page = mmap(NULL, VGPU_SCHEDULE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, schedule->file, 0);
	if (page == MAP_FAILED)
		return -1;
	schedule->permit = page;
	schedule->permit->word = VGPU_PERMIT_WORD(0, VGPU_PERMIT_CLOSED);
	return 0;
}

void mirror_schedule_sent(struct mirror_schedule *schedule)
{
	close(schedule->wake_other);
	schedule->wake_other = -1;
}

void mirror_schedule_begin(struct mirror_schedule *schedule, const void *counters)
{
	schedule->counters = counters;
	schedule->claims = (const void *)((const uint8_t *)counters + VGPU_SCHEDULE_OFFSET);
}

static void watch_set(struct mirror_schedule *schedule)
{
	uint64_t interval = LOAD(schedule->permit->limits.kernel_ms) / WATCH_PART;

	if (!LOAD(schedule->permit->limits.kernel_ms)) {
		schedule->look_ms = 0;
		return;
	}
	if (interval < WATCH_MS_MIN)
		interval = WATCH_MS_MIN;
	if (interval > WATCH_MS_MAX)
		interval = WATCH_MS_MAX;
	schedule->look_ms = link_now_ms() + interval;
}

bool mirror_schedule_take(struct mirror_schedule *schedule, const struct link_view *view)
{
	struct vgpu_permit_page *page = schedule->permit;
	struct link_permit permit;
	uint64_t until_ns;

	if (view->bytes != sizeof(permit))
		return false;
	memcpy(&permit, view->payload, sizeof(permit));
	if (__builtin_add_overflow(pause_now_ns(), permit.left_ns, &until_ns))
		until_ns = VGPU_TIME_NEVER;
	STORE(page->drain_us, permit.drain_us);
	STORE(page->until_ns, until_ns);
	STORE(page->burst_count, permit.burst_count);
	STORE(page->burst_ns, permit.burst_ns);
	STORE(page->linger_ns, permit.linger_ns);
	STORE(page->limits.memory_bytes, permit.limits.memory_bytes);
	STORE(page->limits.pinned_bytes, permit.limits.pinned_bytes);
	STORE(page->limits.handles, permit.limits.handles);
	STORE(page->limits.queue_depth, permit.limits.queue_depth);
	STORE(page->limits.commands_per_second, permit.limits.commands_per_second);
	STORE(page->limits.bytes_per_second, permit.limits.bytes_per_second);
	STORE(page->limits.kernel_ms, permit.limits.kernel_ms);
	STORE(page->slow_call_ms, permit.slow_call_ms);
	__atomic_store_n(&page->word, permit.word, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wakeup_send(schedule->wake);
	watch_set(schedule);
	schedule->is_due |= schedule->is_over;
	return true;
}

void mirror_schedule_end(struct mirror_schedule *schedule)
{
	schedule->is_over = true;
	schedule->is_due = true;
}

void mirror_schedule_ring(struct mirror_schedule *schedule)
{
	wakeup_take(schedule->rung);
	schedule->is_due = true;
}

static struct link_schedule report_make(const struct mirror_schedule *schedule)
{
	const struct vgpu_executor_schedule *claims = schedule->claims;
	struct link_schedule report = {.word = LOAD(schedule->permit->word)};
	uint64_t deadline;

	/* What the executor says with an answer was written before it. */
	report.claims.done = __atomic_load_n(&claims->done, __ATOMIC_ACQUIRE);
	report.claims.demand = LOAD(claims->demand);
	report.claims.busy = LOAD(claims->busy);
	report.claims.in_flight = LOAD(claims->in_flight);
	report.claims.gpu_ns = LOAD(claims->gpu_ns);
	report.claims.permit_waits = LOAD(claims->permit_waits);
	report.claims.permit_wait_ns = LOAD(claims->permit_wait_ns);
	report.claims.delays = LOAD(claims->delays);
	report.claims.delay_ns = LOAD(claims->delay_ns);
	report.claims.handles = LOAD(claims->handles);
	report.claims.memory_charged = LOAD(claims->memory_charged);
	report.claims.pinned_charged = LOAD(claims->pinned_charged);
	report.claims.context_faults = LOAD(claims->context_faults);
	report.claims.last_fault = LOAD(claims->last_fault);
	/* Before it an executor writes where a device is. */
	report.claims.devices = __atomic_load_n(&claims->devices, __ATOMIC_ACQUIRE);
	for (size_t i = 0; i < VGPU_COUNTED_DEVICES; i++)
		report.pci_places[i] = LOAD(schedule->counters->devices[i].pci_place);
	deadline = LOAD(claims->deadline_ns);
	report.is_overdue = deadline && pause_now_ns() > deadline && LOAD(schedule->permit->limits.kernel_ms) ? 1 : 0;
	if (schedule->is_over) {
		report.claims.done = report.word;
		report.claims.demand = report.claims.busy = report.claims.in_flight = 0;
		report.is_overdue = 0;
	}
	return report;
}

bool mirror_schedule_send(struct mirror_schedule *schedule, struct link *link, uint64_t arrived, bool is_alive)
{
	struct link_schedule report;
	void *place;

	if (schedule->look_ms && link_now_ms() >= schedule->look_ms) {
		watch_set(schedule);
		schedule->is_due |= report_make(schedule).is_overdue;
	}
	/* The bell is only heard when the mirror sleeps; no fault may come after the reply that ends its program. */
	if (!schedule->is_due && !is_alive && LOAD(schedule->claims->done) == schedule->sent.claims.done &&
	    LOAD(schedule->claims->demand) == schedule->sent.claims.demand &&
	    LOAD(schedule->claims->context_faults) == schedule->sent.claims.context_faults &&
	    LOAD(schedule->claims->devices) == schedule->sent.claims.devices)
		return true;
	report = report_make(schedule);
	if (!link_charges_are_valid(&report.claims))
		return false;
	report.arrived = arrived;
	schedule->is_due = memcmp(&report, &schedule->sent, sizeof(report)) != 0;
	if (!schedule->is_due)
		return true;
	/* Before replies: while records wait for room at the other side, this must not. */
	place = link_put_early(link, LINK_SCHEDULE, sizeof(report));
	if (!place)
		return true;
	memcpy(place, &report, sizeof(report));
	schedule->sent = report;
	schedule->is_due = false;
	return true;
}

int mirror_schedule_timeout(const struct mirror_schedule *schedule, int timeout_ms)
{
	uint64_t now = link_now_ms();

	if (!schedule->look_ms)
		return timeout_ms;
	if (schedule->look_ms <= now)
		return 0;
	return schedule->look_ms - now < (uint64_t)timeout_ms ? (int)(schedule->look_ms - now) : timeout_ms;
}
