/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of the program's memory that take each other's place. */
#ifndef VGPU_PAGES_H
#define VGPU_PAGES_H

#include <stddef.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u

/* Not memcpy(): whole pages are the program's, which its own checks of memory accesses know nothing of. */
static inline void pages_copy(void *to, const void *from, size_t bytes)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

enum pages_taken {
	PAGES_MOVED,
	PAGES_COPIED, /* into private pages; what was to be moved is still where it was */
	PAGES_LOST,   /* nothing may be mapped there any more */
};

/* Puts what is mapped at 'from' in the place of what lies at 'place'. Takes no lock. */
static inline enum pages_taken pages_take(void *place, void *from, size_t bytes)
{
	if (mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place)
		return PAGES_MOVED;
	/* By then it may have unmapped what was there (mremap(2)). */
	if (mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != place)
		return PAGES_LOST;
	pages_copy(place, from, bytes);
	return PAGES_COPIED;
}

#endif
