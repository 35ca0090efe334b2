/* SPDX-License-Identifier: Apache-2.0 */
/* The device that is measured, behind the library that the loader finds. */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

#include "driver.h"

extern struct driver driver;

/*
 * Fills 'driver' from the library, makes the device of that number current and prints what both are; ends the
 * program with a message if it cannot.
 */
void device_start(const char *path, int ordinal);
void device_stop(void);

/* Ends the program with a message unless the call succeeded. */
void device_check(CUresult result, const char *call);
#define CHECK(call) device_check((call), #call)

#endif
