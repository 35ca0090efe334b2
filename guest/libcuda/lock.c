/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"

/* About a microsecond: the critical sections are copies of a few hundred bytes. */
#define SPIN_TURNS 40

void lock_take_contended(struct lock *lock)
{
	for (int i = 0; i < SPIN_TURNS; i++) {
		if (__atomic_load_n(&lock->state, __ATOMIC_RELAXED) == LOCK_FREE && lock_try(lock))
			return;
		processor_relax();
	}
	while (__atomic_exchange_n(&lock->state, LOCK_CONTENDED, __ATOMIC_ACQUIRE) != LOCK_FREE)
		word_sleep(&lock->state, LOCK_CONTENDED, -1);
}
