/* SPDX-License-Identifier: Apache-2.0 */
/* How many blocks of a kernel one multiprocessor holds, by the limits that the device reports. */
#ifndef SOFTGPU_DRIVER_OCCUPANCY_H
#define SOFTGPU_DRIVER_OCCUPANCY_H

#include "softgpu/engine/engine.h"

int occupancy_blocks(const struct engine_function_info *info, unsigned threads, size_t dynamic_shared_bytes);

#endif
