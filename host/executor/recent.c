/* SPDX-License-Identifier: Apache-2.0 */
#include "recent.h"

#include <stdio.h>

#include "log.h"
#include "opcode.h"

void recent_log(const struct recent *recent)
{
	uint32_t oldest = recent->count > RECENT_CALLS ? recent->count - RECENT_CALLS : 0;
	char text[400];
	size_t used = 0;

	for (uint32_t i = recent->count; i != oldest;) {
		uint16_t opcode = recent->opcodes[--i % RECENT_CALLS];
		uint32_t times = 1;
		int length;

		while (i != oldest && recent->opcodes[(i - 1) % RECENT_CALLS] == opcode) {
			times++;
			i--;
		}
		length = times == 1 ? snprintf(text + used, sizeof(text) - used, " %s", opcode_name(opcode))
				    : snprintf(text + used, sizeof(text) - used, " %s*%u", opcode_name(opcode), times);
		if (length < 0 || (size_t)length >= sizeof(text) - used)
			break;
		used += (size_t)length;
	}
	text[used] = '\0';
	log_write("the last calls before, the last one first:%s", text);
}
