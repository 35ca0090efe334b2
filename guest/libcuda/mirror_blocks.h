/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A range of device memory that has pages of this process at the same address: which of its blocks has
 * the bytes that count here and which there, and how they come from one side to the other.
 *
 * Who calls holds the lock of mirror.c, under which no thread touches the range but to read what is here.
 */
#ifndef VGPU_MIRROR_BLOCKS_H
#define VGPU_MIRROR_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "mirror_streams.h"
#include "mirror_work.h"

/* A touch costs a round trip, which at a worker takes as long as some 64 KiB do. */
#define MIRROR_BLOCK_BYTES (64u << 10)

enum mirror_block {
	MIRROR_AWAY = 0, /* the device's bytes count, and there are no pages here */
	MIRROR_BOTH,	 /* the same bytes on both sides; a write here is caught */
	MIRROR_HERE,	 /* the bytes here count */
	MIRROR_LOST,	 /* could not be brought: the device's count, and who touches it dies of it */
};

struct mirror {
	struct mirror *next_present; /* of those with pages here */
	bool is_listed;
	bool is_watched; /* touches are caught; before the device first looks at it, all of it is here */
	uint64_t address;
	uint64_t bytes;	     /* whole pages */
	uint64_t allocation; /* the device's own address of it, at most a page lower */
	struct mirror_stream *stream;
	unsigned int attachment;  /* CUmemAttach_flags */
	uint32_t attached_stream; /* of CU_MEM_ATTACH_SINGLE */
	struct mirror_work work;  /* unless it is attached to all streams: those have theirs together */
	uint64_t awaited;	  /* as many launches there were when the attached stream was waited for */
	size_t present_count;	  /* blocks that are here or on both sides */
	size_t ahead_block;	  /* where touches one after the other would come next */
	size_t ahead_count;	  /* and as many blocks were brought last */
	size_t block_count;
	uint8_t blocks[]; /* enum mirror_block */
};

/*
 * From now on touches are caught; what the program has not touched is away. Pages that are there are known from
 * /proc/self/pagemap; without it, all are taken to be.
 */
CUresult mirror_blocks_watch(struct mirror *mirror);

/* Of one that is watched, as the rest here: sends up what counts here of blocks [first, end), which then are on both
 * sides. In the mirror's stream. */
CUresult mirror_blocks_up(struct mirror *mirror, size_t first, size_t end);

/* Their pages go. None may count. */
CUresult mirror_blocks_drop(struct mirror *mirror, size_t first, size_t end);

/* Brings 'count' blocks that are away, at most MIRROR_BLOCKS_AT_ONCE; as many of the first ones may be written. */
#define MIRROR_BLOCKS_AT_ONCE 64u
CUresult mirror_blocks_bring(struct mirror *mirror, size_t first, size_t count, size_t writable_count);

/* As many blocks from the first on are away, at most so many. */
size_t mirror_blocks_count_away(const struct mirror *mirror, size_t first, size_t end, size_t most);

/* Lets the program write to a block that is here. */
void mirror_block_give(struct mirror *mirror, size_t block);

/* One that is away cannot be brought: who touches it dies of it. */
void mirror_block_lose(struct mirror *mirror, size_t block);

/* As much as a block has: the last one may be shorter. */
size_t mirror_block_bytes(const struct mirror *mirror, size_t block);

#endif
