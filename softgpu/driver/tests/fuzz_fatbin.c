/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer target: arbitrary bytes as a fatbin, and as PTX text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "softgpu/driver/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct image image = {0};
	size_t written;
	void *again;
	char *text;

	if (!fatbin_read(data, bytes, &image) && image.count && !fatbin_write(&image, &again, &written)) {
		struct image parts = {0};

		/* What we write ourselves must come back whole. */
		if (fatbin_read(again, written, &parts) || parts.count != image.count)
			abort();
		image_free(&parts);
		free(again);
	}
	image_free(&image);
	/* Anything but a container, which without a length is read as far as its headers say. */
	if (bytes >= 2 && !(data[0] == 0xb1 && data[1] == 0x43) && !(data[0] == 0x50 && data[1] == 0xed) &&
	    data[0] != 0x7f) {
		text = malloc(bytes + 1);
		if (!text)
			return 0;
		memcpy(text, data, bytes);
		text[bytes] = 0;
		if (!image_read(text, &image))
			image_free(&image);
		free(text);
	}
	return 0;
}
