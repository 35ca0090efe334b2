/* SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"

#include <unistd.h>

#include "executor.h"
#include "limit.h"
#include "opcode.h"

/* Of records that take so many times the length of a burst only one is in flight: the gap is small beside it. */
#define LONG_RECORD_BURSTS 4
#define STALL_NS	   50000000u
#define DRAIN_POLL_US	   100
/* With a limit on kernels, so that one that is too long is not hidden behind many others. */
#define BURST_RECORDS_LIMITED 16u

/* Where only limits ask for bursts to be counted, not a permit. */
static const struct vgpu_permit_page permit_of_nobody;
static struct vgpu_executor_schedule schedule_of_nobody;

#define LOAD(field)	    __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELEASE)

void gate_open(struct gate *gate, const struct vgpu_permit_page *permit, struct vgpu_executor_schedule *own, int wake,
	       int bell)
{
	*gate = (struct gate){
		.permit = permit ? permit : &permit_of_nobody,
		.own = own ? own : &schedule_of_nobody,
		.wake = wake,
		.bell = bell,
		.free_word = permit ? GATE_WORD_NONE : 0,
		.word = GATE_WORD_NONE,
		.deadline_lock = PTHREAD_MUTEX_INITIALIZER,
	};
}

static void bell_ring(const struct gate *gate)
{
	uint64_t one = 1;
	ssize_t written;

	if (gate->bell < 0)
		return;
	/* It does not block, and a full counter rings as well. */
	written = write(gate->bell, &one, sizeof(one));
	(void)written;
}

static bool limits_need_counting(const struct vgpu_limits *limits)
{
	return LOAD(limits->queue_depth) || LOAD(limits->kernel_ms) || LOAD(limits->commands_per_second) ||
	       LOAD(limits->bytes_per_second);
}

/* Others are there, who would wait for what is in flight. */
static bool gate_is_shared(const struct gate *gate)
{
	enum vgpu_permit_mode mode = VGPU_PERMIT_MODE(gate->word);

	return mode == VGPU_PERMIT_SLICED || mode == VGPU_PERMIT_STANDBY;
}

/* Work is counted in bursts. */
static bool gate_counts(const struct gate *gate)
{
	const struct vgpu_limits *limits = &gate->permit->limits;

	return gate_is_shared(gate) || LOAD(limits->queue_depth) || LOAD(limits->kernel_ms);
}

/* Under the deadline's lock. */
static void deadline_publish(struct gate *gate)
{
	uint64_t allowance = gate->function_since_ns ? FUNCTION_NS_MAX : gate->function_ns;

	if (allowance > FUNCTION_NS_MAX)
		allowance = FUNCTION_NS_MAX;
	STORE(gate->own->deadline_ns, gate->deadline_ns ? gate->deadline_ns + allowance : 0);
}

static void deadline_store(struct gate *gate, uint64_t deadline_ns)
{
	pthread_mutex_lock(&gate->deadline_lock);
	if (gate->deadline_progress_ns != gate->bursts.progress_ns) {
		gate->deadline_progress_ns = gate->bursts.progress_ns;
		gate->function_ns = 0;
		if (gate->function_since_ns)
			gate->function_since_ns = schedule_now();
	}
	gate->deadline_ns = deadline_ns;
	deadline_publish(gate);
	pthread_mutex_unlock(&gate->deadline_lock);
}

void gate_function_begin(struct gate *gate)
{
	pthread_mutex_lock(&gate->deadline_lock);
	gate->function_since_ns = schedule_now();
	deadline_publish(gate);
	pthread_mutex_unlock(&gate->deadline_lock);
}

void gate_function_end(struct gate *gate)
{
	pthread_mutex_lock(&gate->deadline_lock);
	gate->function_ns += schedule_now() - gate->function_since_ns;
	gate->function_since_ns = 0;
	deadline_publish(gate);
	pthread_mutex_unlock(&gate->deadline_lock);
}

static void deadline_set(struct gate *gate)
{
	uint64_t limit_ns = LOAD(gate->permit->limits.kernel_ms) * 1000000u;
	uint64_t deadline = 0;

	if (limit_ns && gate->bursts.records) {
		/* The oldest burst, perhaps still open: each of its kernels may take that long. */
		uint32_t work = gate->bursts.ring[gate->bursts.first % BURSTS_MAX].work;

		deadline = gate->bursts.progress_ns + limit_ns * (work ? work : 1);
	}
	/* Where there is no limit, which is usual, nobody has to agree on anything. */
	if (deadline || gate->deadline_ns)
		deadline_store(gate, deadline);
}

static void own_publish(struct gate *gate)
{
	STORE(gate->own->in_flight, gate->bursts.records);
	STORE(gate->own->gpu_ns, gate->bursts.gpu_ns);
	deadline_set(gate);
}

/* The permit has changed. */
static void word_take(struct executor *executor, struct gate *gate, uint32_t word, uint64_t now)
{
	bool counted = gate->word != GATE_WORD_NONE && gate_counts(gate);
	enum vgpu_permit_mode mode = VGPU_PERMIT_MODE(word);

	gate->word = word;
	gate->free_word = GATE_WORD_NONE;
	gate->is_done = false;
	gate->is_ending = mode == VGPU_PERMIT_CLOSED;
	gate->ending_since_ns = now;
	gate->idle_since_ns = now;
	/* What was issued while nobody counted is still there. */
	if (!counted && mode != VGPU_PERMIT_OPEN && LOAD(gate->own->busy))
		burst_close_all(executor, &gate->bursts, now);
	/* With a permit nothing is asked for: a question of before must not outlive it. */
	if (mode != VGPU_PERMIT_CLOSED)
		STORE(gate->own->demand, 0);
	if (mode == VGPU_PERMIT_OPEN) {
		STORE(gate->own->busy, 1);
		if (!limits_need_counting(&gate->permit->limits))
			gate->free_word = word;
	}
	own_publish(gate);
}

static void word_look(struct executor *executor, struct gate *gate, uint64_t now)
{
	uint32_t word = __atomic_load_n(&gate->permit->word, __ATOMIC_ACQUIRE);

	if (word != gate->word)
		word_take(executor, gate, word, now);
}

/* From idle to working: after this the mediator waits for an answer when it closes the permit. */
static void busy_set(struct executor *executor, struct gate *gate, uint64_t now)
{
	if (LOAD(gate->own->busy))
		return;
	STORE(gate->own->busy, 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	word_look(executor, gate, now);
}

static bool refuse(struct gate *gate, uint64_t now)
{
	if (!gate->is_refusing) {
		gate->is_refusing = true;
		gate->refused_since_ns = now;
	}
	return false;
}

static bool admit(struct executor *executor, struct gate *gate, uint64_t now)
{
	limit_rate_pay(executor, now);
	if (gate->is_refusing) {
		gate->is_refusing = false;
		counter_add(&gate->own->permit_waits, 1);
		counter_add(&gate->own->permit_wait_ns, now - gate->refused_since_ns);
	}
	return true;
}

static void ending_begin(struct executor *executor, struct gate *gate, uint64_t now)
{
	if (gate->is_ending)
		return;
	gate->is_ending = true;
	gate->ending_since_ns = now;
	burst_close(executor, &gate->bursts);
}

/* Bounds what is in flight; false: wait until some of it is over. */
static bool depth_admits(struct executor *executor, struct gate *gate, uint64_t now)
{
	struct bursts *bursts = &gate->bursts;
	uint64_t depth = LOAD(gate->permit->limits.queue_depth);
	uint64_t burst_ns = LOAD(gate->permit->burst_ns);
	uint32_t allowed = LOAD(gate->permit->burst_count);
	bool is_full = burst_is_full(bursts);

	if (!allowed)
		allowed = VGPU_BURSTS_DEFAULT;
	if (gate_is_shared(gate) && bursts->record_ns >= LONG_RECORD_BURSTS * burst_ns)
		allowed = 1;
	if (LOAD(gate->permit->limits.kernel_ms) &&
	    bursts->ring[bursts->next % BURSTS_MAX].records >= BURST_RECORDS_LIMITED)
		is_full = true;
	if (is_full) {
		burst_close(executor, bursts);
		bursts_poll(executor, bursts, burst_ns);
	}
	if (depth && bursts->records >= depth) {
		burst_close(executor, bursts);
		bursts_poll(executor, bursts, burst_ns);
		if (bursts->records >= depth)
			return false;
	}
	if (bursts_outstanding(bursts) < allowed)
		return true;
	bursts_poll(executor, bursts, burst_ns);
	allowed += (uint32_t)((now - bursts->progress_ns) / STALL_NS);
	if (allowed > BURSTS_MAX - 2)
		allowed = BURSTS_MAX - 2;
	return bursts_outstanding(bursts) < allowed;
}

/*
 * A program learns of the kernel before only by what stands behind the one in flight: the event's record and its wait.
 * If they waited for that as well, the program would have nothing for the GPU when it ends, and would lose its turn
 * (of 10 to 90, with kernels of 20 ms, the tenant of 10 had 6 % less than its share on an H200, for turns of 1 ms).
 * Not where one burst is allowed, beside a higher class: what is in flight is what that one waits for.
 */
static bool record_passes(struct executor *executor, struct gate *gate)
{
	const struct bursts *bursts = &gate->bursts;
	uint64_t depth = LOAD(gate->permit->limits.queue_depth);
	uint16_t opcode;

	if (LOAD(gate->permit->burst_count) == 1)
		return false;
	if (bursts->ring[bursts->next % BURSTS_MAX].records || (depth && bursts->records >= depth))
		return false;
	gate->is_passing = !ring_peek(&executor->channel.commands, &opcode) && opcode_is_instant(opcode);
	return gate->is_passing;
}

bool gate_pass_is_right(struct gate *gate, uint16_t opcode)
{
	bool is_right = !gate->is_passing || opcode_is_instant(opcode);

	gate->is_passing = false;
	return is_right;
}

/* Under STANDBY: the mediator learns of it while the work is on its way already. */
static void standby_begin(struct gate *gate)
{
	if (VGPU_PERMIT_MODE(gate->word) != VGPU_PERMIT_STANDBY || LOAD(gate->own->demand))
		return;
	__atomic_store_n(&gate->own->demand, 1, __ATOMIC_SEQ_CST);
	bell_ring(gate);
}

bool gate_work_waits(const struct executor *executor)
{
	const struct ring *commands = &executor->channel.commands;

	return __atomic_load_n(&commands->shared->tail, __ATOMIC_ACQUIRE) != commands->own;
}

bool gate_ask(struct executor *executor)
{
	struct gate *gate = &executor->gate;
	uint64_t now;

	if (!gate_work_waits(executor))
		return false;
	now = schedule_now();
	/* They were let through before the permit changed: what is in flight from then on is to include them. */
	launch_chain_issue(executor);
	word_look(executor, gate, now);
	if (!limit_rate_admits(executor, now))
		return refuse(gate, now);
	/* Nothing can reach the GPU before there is a context. */
	if (executor->handles.tables[VGPU_KIND_CONTEXT].count == 0)
		return admit(executor, gate, now);
	busy_set(executor, gate, now);
	if (VGPU_PERMIT_MODE(gate->word) == VGPU_PERMIT_SLICED && now >= LOAD(gate->permit->until_ns))
		ending_begin(executor, gate, now);
	if (gate->is_ending || gate->is_done)
		return refuse(gate, now);
	standby_begin(gate);
	if (!gate_counts(gate))
		return admit(executor, gate, now);
	if (!depth_admits(executor, gate, now))
		return record_passes(executor, gate) ? admit(executor, gate, now) : refuse(gate, now);
	burst_count(&gate->bursts, now);
	own_publish(gate);
	return admit(executor, gate, now);
}

/* Tells the mediator that nothing more comes under this word. */
static void done_send(struct executor *executor, struct gate *gate)
{
	bool has_work = gate_work_waits(executor);

	gate->is_done = true;
	STORE(gate->own->demand, has_work);
	own_publish(gate);
	if (bursts_are_idle(&gate->bursts))
		STORE(gate->own->busy, 0);
	__atomic_store_n(&gate->own->done, gate->word, __ATOMIC_SEQ_CST);
	bell_ring(gate);
}

static void demand_send(struct executor *executor, struct gate *gate)
{
	if (!gate->is_done || LOAD(gate->own->demand) || !gate_work_waits(executor))
		return;
	__atomic_store_n(&gate->own->demand, 1, __ATOMIC_SEQ_CST);
	bell_ring(gate);
}

static void idle_look(struct executor *executor, struct gate *gate, uint64_t now)
{
	if (gate_work_waits(executor) || executor->pendings.first) {
		gate->idle_since_ns = now;
		return;
	}
	if (LOAD(gate->permit->until_ns) == VGPU_TIME_NEVER) {
		/* Nobody waits for the GPU: keep the permit, but let it be taken without being asked. */
		if (LOAD(gate->own->busy))
			STORE(gate->own->busy, 0);
	} else if (now - gate->idle_since_ns >= LOAD(gate->permit->linger_ns)) {
		ending_begin(executor, gate, now);
	}
}

/*
 * Nothing more to put into the open burst: closes it to see its end, but not at once while another one is
 * out, for a program that is slower than the GPU would otherwise never have more than two records there.
 */
static void open_close(struct executor *executor, struct gate *gate, uint64_t now)
{
	struct bursts *bursts = &gate->bursts;

	if (gate_work_waits(executor))
		return;
	if (bursts_outstanding(bursts) == 0 ||
	    now - bursts->ring[bursts->next % BURSTS_MAX].began_ns >= LOAD(gate->permit->burst_ns))
		burst_close(executor, bursts);
}

bool gate_poll(struct executor *executor)
{
	struct gate *gate = &executor->gate;
	struct bursts *bursts = &gate->bursts;
	bool progress;
	uint64_t now;

	if (gate_is_free(gate))
		return false;
	now = schedule_now();
	word_look(executor, gate, now);
	open_close(executor, gate, now);
	progress = bursts_poll(executor, bursts, LOAD(gate->permit->burst_ns));
	if (progress)
		own_publish(gate);
	if (gate->is_done) {
		if (progress && bursts_are_idle(bursts) && LOAD(gate->own->busy)) {
			STORE(gate->own->busy, 0);
			bell_ring(gate);
		}
		demand_send(executor, gate);
		return progress;
	}
	if (VGPU_PERMIT_MODE(gate->word) == VGPU_PERMIT_SLICED) {
		if (now >= LOAD(gate->permit->until_ns))
			ending_begin(executor, gate, now);
		else if (bursts_are_idle(bursts))
			idle_look(executor, gate, now);
		else
			gate->idle_since_ns = now;
	}
	if (gate->is_ending &&
	    (bursts_are_idle(bursts) || now - gate->ending_since_ns >= LOAD(gate->permit->drain_us) * 1000ull)) {
		done_send(executor, gate);
		progress = true;
	}
	return progress;
}

bool gate_is_watching(const struct gate *gate)
{
	if (gate_is_free(gate))
		return false;
	if (!bursts_are_idle(&gate->bursts) || gate->delayed_until_ns)
		return true;
	return !gate->is_done && VGPU_PERMIT_MODE(gate->word) == VGPU_PERMIT_SLICED &&
	       LOAD(gate->permit->until_ns) != VGPU_TIME_NEVER;
}

void gate_wake_clear(const struct gate *gate)
{
	uint64_t count;
	ssize_t got;

	if (gate->wake < 0)
		return;
	got = read(gate->wake, &count, sizeof(count));
	/* It does not block; nothing to read is as good. */
	(void)got;
}

void gate_drain(struct executor *executor)
{
	struct gate *gate = &executor->gate;
	struct bursts *bursts = &gate->bursts;

	while (!bursts_are_idle(bursts)) {
		burst_close(executor, bursts);
		if (bursts_poll(executor, bursts, LOAD(gate->permit->burst_ns)))
			own_publish(gate);
		else
			usleep(DRAIN_POLL_US);
	}
}

void gate_touch(struct executor *executor, uint32_t context, CUstream stream)
{
	struct gate *gate = &executor->gate;

	if (gate->word != gate->free_word && gate->bursts.ring[gate->bursts.next % BURSTS_MAX].records)
		burst_touch(&gate->bursts, context_find(executor, context), stream);
}

void gate_settle(struct executor *executor)
{
	struct bursts *bursts = &executor->gate.bursts;
	uint32_t current = executor->contexts.current ? executor->contexts.current->id : 0;

	/* One that cannot be closed yet waits for the oldest. */
	if (bursts_outstanding(bursts) >= BURSTS_MAX - 1)
		bursts_poll(executor, bursts, LOAD(executor->gate.permit->burst_ns));
	burst_close(executor, bursts);
	context_enter(executor, current);
}

void gate_forget_stream(struct executor *executor, CUstream stream)
{
	bursts_forget_stream(&executor->gate.bursts, stream);
}

void gate_forget_context(struct executor *executor, struct context *context)
{
	bursts_forget_context(executor, &executor->gate.bursts, context);
}

void gate_device_note(struct gate *gate, CUdevice device, bool is_used)
{
	uint64_t bit = device >= 0 && device < 64 ? 1ull << device : 0;
	uint64_t devices = is_used ? gate->own->devices | bit : gate->own->devices & ~bit;

	if (devices == gate->own->devices)
		return;
	STORE(gate->own->devices, devices);
	bell_ring(gate);
}

void gate_fault_note(struct executor *executor, CUresult result)
{
	struct gate *gate = &executor->gate;

	switch (result) {
	case CUDA_ERROR_ILLEGAL_ADDRESS:
	case CUDA_ERROR_LAUNCH_TIMEOUT:
	case CUDA_ERROR_ASSERT:
	case CUDA_ERROR_HARDWARE_STACK_ERROR:
	case CUDA_ERROR_ILLEGAL_INSTRUCTION:
	case CUDA_ERROR_MISALIGNED_ADDRESS:
	case CUDA_ERROR_INVALID_ADDRESS_SPACE:
	case CUDA_ERROR_INVALID_PC:
	case CUDA_ERROR_LAUNCH_FAILED:
		break;
	default:
		return;
	}
	/* The error sticks: it is one fault however often it is returned. */
	if (executor->contexts.current && executor->contexts.current->is_faulty)
		return;
	if (executor->contexts.current)
		executor->contexts.current->is_faulty = true;
	STORE(gate->own->last_fault, (uint64_t)result);
	counter_add(&gate->own->context_faults, 1);
	recent_log(&executor->recent);
	bell_ring(gate);
}
