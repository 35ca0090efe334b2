/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinned memory of a guest process: its pages, mapped here at the same address and
 * registered with the driver, so that device and both processes see the same bytes
 * at the same place.
 *
 * A local process brings a memory file, which must be sealed against shrinking: a
 * page that went away would end this process with SIGBUS.  In a virtual machine the
 * pages are parts of the channel's area, which is mapped once more, as a whole, at
 * the address that the guest has it at.
 *
 * Memory that the program has already is placed first: mapped at its address, then
 * filled by the guest, then pinned.
 */
#ifndef EXECUTOR_PINNED_H
#define EXECUTOR_PINNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context.h"
#include "execute.h"

#define PINNED_RANGES_MAX 65536
#define PINNED_BYTES_MAX  (1ull << 40) /* a bound for sums; what the host grants is the mediator's to limit */

struct pinned_range {
	uint64_t address;
	uint64_t bytes;
	struct context *registered_in; /* NULL: only mapped, not pinned yet or its context is gone */
	bool is_of_area;	       /* within the mapping of the channel's area */
	bool is_named;		       /* a graph may copy there, whenever it is launched */
};

/* Sorted by address. */
struct pinned {
	struct pinned_range *ranges;
	size_t count;
	size_t capacity;
	uint64_t bytes;
	uint64_t area; /* where the channel's area is mapped for it; 0: not yet */
	/* Addresses that graphs name and nothing is to lie at: without rights, as long as there are graphs. */
	struct pinned_range *barred;
	size_t barred_count;
};

CUresult pinned_map_execute(struct executor *executor, const struct request *request);
CUresult pinned_unmap_execute(struct executor *executor, const struct request *request);
CUresult pinned_area_execute(struct executor *executor, const struct request *request);
CUresult pinned_place_execute(struct executor *executor, const struct request *request);
CUresult pinned_pin_execute(struct executor *executor, const struct request *request);

/* Is [address, address + bytes) within one mapped range? Only such memory may be named by address. */
bool pinned_holds(const struct pinned *pinned, uint64_t address, uint64_t bytes);

/* A graph names this address, which a range holds: nothing else will lie there while there are graphs. */
void pinned_name(struct pinned *pinned, uint64_t address);

/* Host memory of the executor's own that is the guest's to pay for. */
CUresult pinned_own_charge(struct executor *executor, uint64_t bytes);
void pinned_own_release(struct executor *executor, uint64_t bytes);

/* The registrations end with their context; the mappings stay until the guest gives them up. */
void pinned_forget_context(struct executor *executor, struct context *context);

#endif
