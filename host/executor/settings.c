/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "vgpu_settings.h"

static bool is_decided(const char *name)
{
	return getenv(name) || (strcmp(name, "CUDA_DEVICE_ORDER") == 0 && getenv("CUDA_VISIBLE_DEVICES"));
}

void settings_follow(uint32_t settings)
{
	for (size_t i = 0; i < VGPU_SETTINGS_COUNT; i++) {
		const char *value = vgpu_setting_value(&vgpu_settings[i], settings);

		if (value && !is_decided(vgpu_settings[i].name) && setenv(vgpu_settings[i].name, value, 1) < 0)
			log_write("%s of the program is not followed: out of memory", vgpu_settings[i].name);
	}
}
