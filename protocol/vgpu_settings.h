/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The variables of a program's environment that the host's driver is to follow, in one word of the greeting
 * (vgpu_hello.settings): of each the number of its value in a list, 0 where it is none of these or is not set. So no
 * text of the guest's comes into the executor's environment. Documented in the CUDA programming guide (environment
 * variables); what is not here is the host's business (files, sizes), answered in the guest (CUDA_LAUNCH_BLOCKING), or
 * sent apart (CUDA_VISIBLE_DEVICES).
 *
 * Fields and values stay as they are; new ones come behind them.
 */
#ifndef VGPU_SETTINGS_H
#define VGPU_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#define VGPU_SETTING_VALUES_MAX 8

struct vgpu_setting {
	const char *name;
	uint32_t shift; /* of its field */
	uint32_t bits;
	const char *values[VGPU_SETTING_VALUES_MAX]; /* the first has number 1; up to the first NULL */
};

static const struct vgpu_setting vgpu_settings[] = {
	{"CUDA_DEVICE_ORDER", 0, 2, {"FASTEST_FIRST", "PCI_BUS_ID"}},
	{"CUDA_MODULE_LOADING", 2, 2, {"DEFAULT", "LAZY", "EAGER"}},
	{"CUDA_MODULE_DATA_LOADING", 4, 2, {"DEFAULT", "LAZY", "EAGER"}},
	{"CUDA_FORCE_PTX_JIT", 6, 1, {"1"}},
	{"CUDA_DISABLE_PTX_JIT", 7, 1, {"1"}},
	{"CUDA_FORCE_JIT", 8, 1, {"1"}},
	{"CUDA_DISABLE_JIT", 9, 1, {"1"}},
	{"CUDA_CACHE_DISABLE", 10, 1, {"1"}},
	/* More than the driver's own 8 would be more of the GPU's queues than others have. */
	{"CUDA_DEVICE_MAX_CONNECTIONS", 11, 4, {"1", "2", "3", "4", "5", "6", "7", "8"}},
};
#define VGPU_SETTINGS_COUNT (sizeof(vgpu_settings) / sizeof(vgpu_settings[0]))

/* The value of a setting in the greeting's word; NULL: none. */
static inline const char *vgpu_setting_value(const struct vgpu_setting *setting, uint32_t settings)
{
	uint32_t number = settings >> setting->shift & ((1u << setting->bits) - 1);

	return number && number <= VGPU_SETTING_VALUES_MAX ? setting->values[number - 1] : NULL;
}

#endif
