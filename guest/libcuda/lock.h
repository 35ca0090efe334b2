/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock of one word for short critical sections: taken without a system call
 * when it is free, by a short spin when it is about to be, else by sleeping.
 * Zero is unlocked. Not recursive.
 */
#ifndef VGPU_LOCK_H
#define VGPU_LOCK_H

#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum lock_state {
	LOCK_FREE = 0,
	LOCK_TAKEN = 1,
	LOCK_CONTENDED = 2, /* taken, and somebody may sleep */
};

struct lock {
	uint32_t state;
};

static inline void processor_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Sleeps while *word is 'expected', at most timeout_ms (-1: no limit); may return early. */
static inline void word_sleep(uint32_t *word, uint32_t expected, int timeout_ms)
{
	struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};

	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
}

static inline void word_wake(uint32_t *word, int count)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static inline bool lock_try(struct lock *lock)
{
	uint32_t expected = LOCK_FREE;

	return __atomic_compare_exchange_n(&lock->state, &expected, LOCK_TAKEN, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

void lock_take_contended(struct lock *lock);

static inline void lock_take(struct lock *lock)
{
	if (!lock_try(lock))
		lock_take_contended(lock);
}

static inline void lock_release(struct lock *lock)
{
	if (__atomic_exchange_n(&lock->state, LOCK_FREE, __ATOMIC_RELEASE) == LOCK_CONTENDED)
		word_wake(&lock->state, 1);
}

#endif
