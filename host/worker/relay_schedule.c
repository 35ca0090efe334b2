/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_schedule.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pause.h"

/* In the past. */
#define DEADLINE_OVER 1

#define WAY_US_MAX 1000u

#define LOAD(field)	    __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELAXED)

static void *page_map(int file, int protection)
{
	struct stat status;

	if (fstat(file, &status) < 0)
		return MAP_FAILED;
	errno = EFBIG;
	if (status.st_size < VGPU_SCHEDULE_PAGE_BYTES)
		return MAP_FAILED;
	return mmap(NULL, VGPU_SCHEDULE_PAGE_BYTES, protection, MAP_SHARED, file, 0);
}

int relay_schedule_open(struct relay_schedule *schedule, struct vgpu_executor_counters *counters, int permit,
			int tenant, int wake, int bell)
{
	void *permit_page = page_map(permit, PROT_READ);
	void *tenant_page = permit_page == MAP_FAILED ? MAP_FAILED : page_map(tenant, PROT_READ | PROT_WRITE);

	if (tenant_page == MAP_FAILED)
		return -errno;
	*schedule = (struct relay_schedule){
		.permit = permit_page,
		.tenant = tenant_page,
		.own = (void *)((uint8_t *)counters + VGPU_SCHEDULE_OFFSET),
		.counters = counters,
		.wake = wake,
		.bell = bell,
		.is_due = true,
		.is_answered = true,
	};
	return 0;
}

void relay_schedule_wake(struct relay_schedule *schedule)
{
	uint64_t count;
	ssize_t got = read(schedule->wake, &count, sizeof(count));

	/* It does not block, and to have read nothing is as good. */
	(void)got;
	schedule->is_due = true;
}

static void bell_ring(const struct relay_schedule *schedule)
{
	const uint64_t one = 1;
	ssize_t written = write(schedule->bell, &one, sizeof(one));

	/* It does not block, and a full counter rings as well. */
	(void)written;
}

static struct link_permit permit_read(const struct vgpu_permit_page *page, uint64_t *ret_until_ns)
{
	/* First: what belongs to a word was written before it. */
	struct link_permit permit = {.word = __atomic_load_n(&page->word, __ATOMIC_ACQUIRE)};

	permit.drain_us = LOAD(page->drain_us);
	permit.burst_count = LOAD(page->burst_count);
	permit.burst_ns = LOAD(page->burst_ns);
	permit.linger_ns = LOAD(page->linger_ns);
	permit.limits.memory_bytes = LOAD(page->limits.memory_bytes);
	permit.limits.pinned_bytes = LOAD(page->limits.pinned_bytes);
	permit.limits.handles = LOAD(page->limits.handles);
	permit.limits.queue_depth = LOAD(page->limits.queue_depth);
	permit.limits.commands_per_second = LOAD(page->limits.commands_per_second);
	permit.limits.bytes_per_second = LOAD(page->limits.bytes_per_second);
	permit.limits.kernel_ms = LOAD(page->limits.kernel_ms);
	permit.slow_call_ms = LOAD(page->slow_call_ms);
	*ret_until_ns = LOAD(page->until_ns);
	return permit;
}

/*
 * Before a permit is sent. False: it has been revoked meanwhile, and the mediator, which saw us idle, waits for no
 * answer (Dekker's algorithm, as in vgpu_schedule.h).
 */
static bool busy_set(struct relay_schedule *schedule, uint32_t word)
{
	uint32_t before = LOAD(schedule->own->busy);

	STORE(schedule->own->busy, 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&schedule->permit->word, __ATOMIC_ACQUIRE) == word)
		return true;
	STORE(schedule->own->busy, before);
	return false;
}

/* A permit is taken back: until the answer comes, work is in flight under it. */
static void revocation_note(const struct relay_schedule *schedule)
{
	if (schedule->is_answered)
		return;
	if (LOAD(schedule->own->in_flight) == 0)
		__atomic_store_n(&schedule->own->in_flight, 1, __ATOMIC_RELEASE);
	bell_ring(schedule);
}

/*
 * A program that goes on when it has its reply needs the way there and back for it: that long an executor keeps its
 * permit without work, up to a bound, for meanwhile others wait.
 */
static uint64_t way_ns(const struct link *link)
{
	struct tcp_info information = {0};
	socklen_t length = sizeof(information);

	if (getsockopt(link->socket, IPPROTO_TCP, TCP_INFO, &information, &length) < 0)
		return 0;
	return information.tcpi_rtt < WAY_US_MAX ? information.tcpi_rtt * 1000ull : WAY_US_MAX * 1000ull;
}

void relay_schedule_send(struct relay_schedule *schedule, struct link *link)
{
	struct link_permit permit;
	uint64_t until_ns;
	bool is_new;
	void *place;

	/* The eventfd is only looked at when the relay sleeps, or now and then. */
	if (!schedule->is_due && LOAD(schedule->permit->word) == schedule->sent.word &&
	    LOAD(schedule->permit->until_ns) == schedule->until_ns)
		return;
	permit = permit_read(schedule->permit, &until_ns);
	is_new = permit.word != schedule->sent.word;
	permit.left_ns = schedule->sent.left_ns;
	if (!is_new && until_ns == schedule->until_ns && memcmp(&permit, &schedule->sent, sizeof(permit)) == 0) {
		schedule->is_due = false;
		return;
	}
	permit.left_ns = VGPU_TIME_NEVER;
	if (until_ns != VGPU_TIME_NEVER) {
		uint64_t now = pause_now_ns();

		permit.left_ns = until_ns > now ? until_ns - now : 0;
	}
	if (is_new && VGPU_PERMIT_MODE(permit.word) != VGPU_PERMIT_CLOSED && !busy_set(schedule, permit.word))
		return;
	place = link_put_early(link, LINK_PERMIT, sizeof(permit));
	if (!place) {
		schedule->is_due = true;
		return;
	}
	schedule->sent = permit;
	permit.linger_ns += way_ns(link);
	memcpy(place, &permit, sizeof(permit));
	schedule->until_ns = until_ns;
	schedule->is_due = false;
	if (!is_new)
		return;
	if (VGPU_PERMIT_MODE(permit.word) == VGPU_PERMIT_CLOSED) {
		revocation_note(schedule);
	} else {
		STORE(schedule->own->demand, 0);
		schedule->is_answered = false;
	}
}

/* Never too little: the mediator gives back what 'own' says. */
static void charge_follow(uint64_t *tenant_sum, uint64_t *own_sum, uint64_t amount)
{
	uint64_t before = LOAD(*own_sum);

	if (amount > before) {
		__atomic_fetch_add(tenant_sum, amount - before, __ATOMIC_ACQ_REL);
		STORE(*own_sum, amount);
	} else if (amount < before) {
		STORE(*own_sum, amount);
		__atomic_fetch_sub(tenant_sum, before - amount, __ATOMIC_ACQ_REL);
	}
}

/* Which GPUs are used, by their places, which the mediator knows. */
static void devices_take(struct relay_schedule *schedule, const struct link_schedule *report)
{
	for (size_t i = 0; i < VGPU_COUNTED_DEVICES; i++)
		STORE(schedule->counters->devices[i].pci_place, report->pci_places[i]);
	__atomic_store_n(&schedule->own->devices, report->claims.devices, __ATOMIC_RELEASE);
}

static void figures_take(struct relay_schedule *schedule, const struct vgpu_executor_schedule *claims)
{
	struct vgpu_executor_schedule *own = schedule->own;

	STORE(own->gpu_ns, claims->gpu_ns);
	STORE(own->permit_waits, claims->permit_waits);
	STORE(own->permit_wait_ns, claims->permit_wait_ns);
	STORE(own->delays, claims->delays);
	STORE(own->delay_ns, claims->delay_ns);
	STORE(own->last_fault, claims->last_fault);
	STORE(own->context_faults, claims->context_faults);
	charge_follow(&schedule->tenant->memory_bytes, &own->memory_charged, claims->memory_charged);
	charge_follow(&schedule->tenant->pinned_bytes, &own->pinned_charged, claims->pinned_charged);
	charge_follow(&schedule->tenant->handles, &own->handles, claims->handles);
}

void relay_schedule_demand(struct relay_schedule *schedule)
{
	if (!schedule->is_answered || !schedule->has_demanded || LOAD(schedule->own->demand))
		return;
	__atomic_store_n(&schedule->own->demand, 1, __ATOMIC_SEQ_CST);
	bell_ring(schedule);
}

bool relay_schedule_take(struct relay_schedule *schedule, const struct link_view *view, uint64_t sent)
{
	struct vgpu_executor_schedule *own = schedule->own;
	struct link_schedule report;
	const struct vgpu_executor_schedule *claims = &report.claims;

	if (view->bytes != sizeof(report))
		return false;
	memcpy(&report, view->payload, sizeof(report));
	if (!link_charges_are_valid(claims))
		return false;
	figures_take(schedule, claims);
	devices_take(schedule, &report);
	STORE(own->deadline_ns, report.is_overdue ? DEADLINE_OVER : 0);
	/* What was read before the executor had the permit that was sent last says nothing of it. */
	if (report.word == schedule->sent.word) {
		bool may_begin = VGPU_PERMIT_MODE(report.word) == VGPU_PERMIT_STANDBY;

		schedule->is_answered |= claims->done == report.word;
		/* What a revocation that is not answered has noted stays. */
		if (claims->in_flight || schedule->is_answered || VGPU_PERMIT_MODE(report.word) != VGPU_PERMIT_CLOSED)
			STORE(own->in_flight, claims->in_flight);
		STORE(own->busy, claims->busy || !schedule->is_answered);
		schedule->has_demanded |= schedule->is_answered && claims->demand;
		/* Also for what was on its way to the executor when it answered. */
		STORE(own->demand, (may_begin && claims->demand) ||
					   (schedule->is_answered &&
					    (claims->demand || (schedule->has_demanded && sent != report.arrived))));
		if (claims->done == report.word)
			__atomic_store_n(&own->done, claims->done, __ATOMIC_SEQ_CST);
	}
	bell_ring(schedule);
	return true;
}
