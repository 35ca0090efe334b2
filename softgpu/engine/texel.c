/* SPDX-License-Identifier: Apache-2.0 */
/* Texels: where one lies, and what its bits mean. */
#include "half.h"
#include "texture.h"

#include <math.h>
#include <string.h>

bool texel_is_float(const struct texture *texture)
{
	switch (texture->image.texel) {
	case ENGINE_TEXEL_F16:
	case ENGINE_TEXEL_F32:
		return true;
	case ENGINE_TEXEL_U32:
	case ENGINE_TEXEL_S32:
		return false;
	default:
		return texture->image.normal || !texture->sampler.as_integer;
	}
}

/* Signed normalised texels have two codes for -1. */
static float signed_normal(float value, float maximum)
{
	value /= maximum;
	return value < -1.0f ? -1.0f : value;
}

/* IEC 61966-2-1 */
static float srgb_to_linear(float value)
{
	return value <= 0.04045f ? value / 12.92f : powf((value + 0.055f) / 1.055f, 2.4f);
}

static union texel_channel channel_read(const struct texture *texture, const uint8_t *at, unsigned channel,
					bool as_float)
{
	const struct engine_sampler *sampler = &texture->sampler;
	union texel_channel value = {.u = 0};
	uint16_t narrow;

	switch (texture->image.texel) {
	case ENGINE_TEXEL_U8:
		if (!as_float) {
			value.u = at[channel];
			break;
		}
		value.f = (float)at[channel] / 255.0f;
		/* The fourth channel is no colour. */
		if (sampler->srgb && channel < 3)
			value.f = srgb_to_linear(value.f);
		break;
	case ENGINE_TEXEL_S8:
		if (as_float)
			value.f = signed_normal((float)(int8_t)at[channel], 127.0f);
		else
			value.u = (uint32_t)(int8_t)at[channel];
		break;
	case ENGINE_TEXEL_U16:
		memcpy(&narrow, at + 2 * channel, sizeof(narrow));
		if (as_float)
			value.f = (float)narrow / 65535.0f;
		else
			value.u = narrow;
		break;
	case ENGINE_TEXEL_S16:
		memcpy(&narrow, at + 2 * channel, sizeof(narrow));
		if (as_float)
			value.f = signed_normal((float)(int16_t)narrow, 32767.0f);
		else
			value.u = (uint32_t)(int16_t)narrow;
		break;
	case ENGINE_TEXEL_F16:
		memcpy(&narrow, at + 2 * channel, sizeof(narrow));
		value.f = (float)half_to_double(narrow);
		break;
	default:
		memcpy(&value, at + 4 * channel, sizeof(value));
		break;
	}
	return value;
}

struct texel texel_read(struct warp *warp, const struct texture *texture, const struct engine_level *level, uint32_t x,
			uint32_t y, uint32_t slice)
{
	const struct engine_image *image = &texture->image;
	uint64_t address =
		level->address + slice * level->slice_bytes + y * level->row_bytes + (uint64_t)x * image->texel_bytes;
	const uint8_t *at = memory_lane_pointer(warp, 0, SPACE_GLOBAL, address, image->texel_bytes, 1);
	bool as_float = texel_is_float(texture);
	struct texel texel = {0};

	for (unsigned channel = 0; channel < image->channels; channel++)
		texel.channels[channel] = channel_read(texture, at, channel, as_float);
	return texel;
}

static uint32_t integer_of(float value)
{
	if (!(value >= -2147483648.0f))
		return value < 0.0f ? 0x80000000u : 0;
	return value < 2147483648.0f ? (uint32_t)(int32_t)value : 0x7fffffffu;
}

struct texel texel_border(const struct texture *texture)
{
	bool as_float = texel_is_float(texture);
	struct texel texel = {0};

	for (unsigned channel = 0; channel < texture->image.channels; channel++) {
		float value = texture->sampler.border[channel];

		if (as_float)
			texel.channels[channel].f = value;
		else
			texel.channels[channel].u = integer_of(value);
	}
	return texel;
}
