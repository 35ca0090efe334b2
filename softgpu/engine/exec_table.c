/* SPDX-License-Identifier: Apache-2.0 */
#include "exec_lanes.h"

#define TABLE_ENTRY(name, ...) EXEC(name),
#define TABLE_SPACE(space)                                                                                         \
	EXEC(load_##space##_b32), EXEC(load_##space##_b64), EXEC(load_##space##_other), EXEC(store_##space##_b32), \
		EXEC(store_##space##_b64), EXEC(store_##space##_other),

const struct exec_table EXEC(table) = {
	{HANDLER_LIST(TABLE_ENTRY, TABLE_ENTRY, TABLE_ENTRY, TABLE_ENTRY, TABLE_SPACE, TABLE_ENTRY)},
};
