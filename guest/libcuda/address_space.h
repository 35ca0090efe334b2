/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses that the host's driver gives to device memory are used in the
 * guest as they are, so nothing of the program may lie there.
 */
#ifndef VGPU_ADDRESS_SPACE_H
#define VGPU_ADDRESS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Reserves them, as far as they are free, once in the process. Best effort: a limit on address space is
 * no reason to fail. Not by two threads at once.
 */
void address_space_reserve(void);

/* Is it an address where only device memory can be? */
bool address_is_device(uint64_t address);

/*
 * Memory of zeros where the device has some, of whole pages; NULL: something of the program is there, or there is
 * none left. Afterwards it is kept free again. Any thread.
 */
void *address_space_take(uint64_t address, uint64_t bytes);
void address_space_give_back(uint64_t address, uint64_t bytes);

#endif
