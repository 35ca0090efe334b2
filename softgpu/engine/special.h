/* SPDX-License-Identifier: Apache-2.0 */
/* Special registers: %tid.x and the like, by name and by how their value comes to be. */
#ifndef SOFTGPU_SPECIAL_H
#define SOFTGPU_SPECIAL_H

#include "parser.h"

/* Those up to SPECIAL_FIXED_COUNT are constant while a block runs and are kept in every frame that names them. */
enum special_register {
	SPECIAL_TID_X,
	SPECIAL_TID_Y,
	SPECIAL_TID_Z,
	SPECIAL_NTID_X,
	SPECIAL_NTID_Y,
	SPECIAL_NTID_Z,
	SPECIAL_CTAID_X,
	SPECIAL_CTAID_Y,
	SPECIAL_CTAID_Z,
	SPECIAL_NCTAID_X,
	SPECIAL_NCTAID_Y,
	SPECIAL_NCTAID_Z,
	SPECIAL_LANEID,
	SPECIAL_WARPID,
	SPECIAL_NWARPID,
	SPECIAL_SMID,
	SPECIAL_NSMID,
	SPECIAL_GRIDID,
	SPECIAL_LANEMASK_EQ,
	SPECIAL_LANEMASK_LE,
	SPECIAL_LANEMASK_LT,
	SPECIAL_LANEMASK_GE,
	SPECIAL_LANEMASK_GT,
	SPECIAL_DYNAMIC_SMEM_SIZE,
	SPECIAL_TOTAL_SMEM_SIZE,
	SPECIAL_ENVREG1,
	SPECIAL_ENVREG2,
	SPECIAL_ENVREG_OTHER,
	SPECIAL_CLUSTER_NCTAID, /* and every other count of a cluster: 1, as blocks are their own cluster */
	SPECIAL_CLUSTER_CTAID,	/* and every other rank within one: 0 */
	SPECIAL_DYNAMIC_SHARED, /* offset of extern shared arrays; has no PTX name */
	SPECIAL_LOCAL_FRAME,	/* offset of the frame's local memory; has no PTX name */
	SPECIAL_FIXED_COUNT,
	SPECIAL_CLOCK = SPECIAL_FIXED_COUNT,
	SPECIAL_CLOCK_HI,
	SPECIAL_CLOCK64,
	SPECIAL_GLOBALTIMER,
	SPECIAL_GLOBALTIMER_LO,
	SPECIAL_GLOBALTIMER_HI,
	SPECIAL_COUNT,
};

/* At a name that may be a special register; consumes its ".x" as well. */
bool special_find(struct parser *parser, const struct token *name, unsigned *ret_special);

bool special_is_wide(unsigned special); /* 64 bits */

#endif
