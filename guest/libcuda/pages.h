/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of the program's memory that take each other's place. */
#ifndef VGPU_PAGES_H
#define VGPU_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "system_call.h"

#define PAGE_BYTES 4096u

/* Not memcpy(): whole pages are the program's, which its own checks of memory accesses know nothing of. */
static inline __attribute__((always_inline)) void pages_copy(void *to, const void *from, size_t bytes)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

enum pages_taken {
	PAGES_MOVED,
	PAGES_COPIED, /* into private pages; what was to be moved is still where it was */
	PAGES_LOST,   /* nothing may be mapped there any more */
};

/* Moves the mapping at 'from' to 'place'; false: something else may be there no longer (mremap(2)). */
static inline __attribute__((always_inline)) bool pages_remap(void *place, void *from, size_t bytes)
{
	return system_call_of_six(SYS_mremap, (long)from, (long)bytes, (long)bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
				  (long)place, 0) == (long)place;
}

/*
 * Puts what is mapped at 'from' in the place of what lies at 'place'. Takes no lock. Neither it nor pages_remap() looks
 * at the thread's own data meanwhile, not even for a stack protector's word: these may be the pages where that lies.
 */
static inline __attribute__((always_inline)) enum pages_taken pages_take(void *place, void *from, size_t bytes)
{
	if (pages_remap(place, from, bytes))
		return PAGES_MOVED;
	if (system_call_of_six(SYS_mmap, (long)place, (long)bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != (long)place)
		return PAGES_LOST;
	pages_copy(place, from, bytes);
	return PAGES_COPIED;
}

#endif
