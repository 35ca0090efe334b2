/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor's code in a child of the fuzzer: what one input has done is gone with the process, so an input that
 * fails does so again alone. What the child's code has covered is copied back to where libFuzzer looks for it.
 */
#include "executor_process.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <sanitizer/asan_interface.h>

#include "executor.h"
#include "loop.h"
#include "peer.h"
#include "start.h"

/* clang's counters, a byte for each edge (SanitizerCoverage, inline 8-bit counters). */
extern uint8_t counters_begin[] __asm__("__start___sancov_cntrs");
extern uint8_t counters_end[] __asm__("__stop___sancov_cntrs");

static uint8_t *shared_counters;
static bool is_executor; /* this process, and not the guest's */

/* ring_take() itself, for which the linker puts the function below in (meson.build). */
enum ring_status __real_ring_take(struct ring *ring, void *record, uint32_t capacity);
enum ring_status __wrap_ring_take(struct ring *ring, void *record, uint32_t capacity);

/* Records are taken into the same memory: what is there of an earlier one must not be read as part of this one. */
enum ring_status __wrap_ring_take(struct ring *ring, void *record, uint32_t capacity)
{
	enum ring_status status;
	struct vgpu_record header;

	if (is_executor)
		ASAN_UNPOISON_MEMORY_REGION(record, capacity);
	status = __real_ring_take(ring, record, capacity);
	if (status == RING_OK && is_executor) {
		memcpy(&header, record, sizeof(header));
		ASAN_POISON_MEMORY_REGION((uint8_t *)record + header.length, capacity - header.length);
	}
	return status;
}

static size_t counters_bytes(void)
{
	return (size_t)(counters_end - counters_begin);
}

static _Noreturn void executor_run(int control)
{
	static struct executor executor = {.pass = -1};

	is_executor = true;
	executor.control = control;
	/* It has the guest's end of its socket too, and so would not see the guest's end. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	if (start_run(&executor) && start_ready_send(&executor))
		loop_run(&executor);
	memcpy(shared_counters, counters_begin, counters_bytes());
	start_fault_send(&executor);
	_exit(2);
}

pid_t peer_executor_start(int control)
{
	pid_t child;

	if (!shared_counters) {
		shared_counters =
			mmap(NULL, counters_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (shared_counters == MAP_FAILED)
			abort();
	}
	child = fork();
	if (child < 0)
		abort();
	if (child == 0)
		executor_run(control);
	return child;
}

void executor_process_covered(void)
{
	memcpy(counters_begin, shared_counters, counters_bytes());
}
