/* SPDX-License-Identifier: Apache-2.0 */
#include "window_use.h"

#include <string.h>

#include "vgpu_wire.h"

/* More than any window has, where it does not fit into a number. */
static uint64_t rows_bytes(const struct vgpu_array_rows *rows)
{
	uint64_t bytes;

	return __builtin_mul_overflow(rows->width_bytes, (uint64_t)rows->rows, &bytes) ? UINT64_MAX : bytes;
}

struct window_use window_use_of(const void *record, uint32_t length)
{
	const uint8_t *payload = (const uint8_t *)record + sizeof(struct vgpu_record);
	size_t payload_bytes = length - sizeof(struct vgpu_record);
	struct window_use use = {0};
	struct vgpu_record header;
	union {
		struct vgpu_upload upload;
		struct vgpu_stage stage;
		struct vgpu_upload_window_release release;
		struct vgpu_download download;
		struct vgpu_array_upload array_upload;
		struct vgpu_array_download array_download;
	} body = {0};

	memcpy(&header, record, sizeof(header));
	/* A record that is too short is the executor's to refuse. */
	memcpy(&body, payload, payload_bytes < sizeof(body) ? payload_bytes : sizeof(body));
	switch (header.opcode) {
	case VGPU_OPCODE_UPLOAD:
		use = (struct window_use){
			.uploads = true, .place = body.upload.window_position, .bytes = body.upload.bytes};
		break;
	case VGPU_OPCODE_STAGE:
		use = (struct window_use){.uploads = body.stage.source == 1,
					  .place = body.stage.window_position,
					  .bytes = body.stage.bytes};
		break;
	case VGPU_OPCODE_UPLOAD_WINDOW_RELEASE:
		use = (struct window_use){.passes = true, .place = body.release.position};
		break;
	case VGPU_OPCODE_DOWNLOAD:
		use = (struct window_use){.downloads = (header.flags & VGPU_FLAG_REPLY) != 0,
					  .place = body.download.window_offset,
					  .bytes = body.download.bytes};
		break;
	case VGPU_OPCODE_ARRAY_UPLOAD:
		use = (struct window_use){.uploads = true,
					  .place = body.array_upload.window_position,
					  .bytes = rows_bytes(&body.array_upload.rows)};
		break;
	case VGPU_OPCODE_ARRAY_DOWNLOAD:
		use = (struct window_use){.downloads = (header.flags & VGPU_FLAG_REPLY) != 0,
					  .place = body.array_download.window_offset,
					  .bytes = rows_bytes(&body.array_download.rows)};
		break;
	default:
		break;
	}
	return use;
}
