/* SPDX-License-Identifier: Apache-2.0 */
#include "special.h"

#include <string.h>

/* A name that ends in '.' takes x, y or z. */
static const struct {
	const char *name;
	unsigned special;
} specials[] = {
	{"%tid.", SPECIAL_TID_X},
	{"%ntid.", SPECIAL_NTID_X},
	{"%ctaid.", SPECIAL_CTAID_X},
	{"%nctaid.", SPECIAL_NCTAID_X},
	{"%clusterid.", SPECIAL_CTAID_X},
	{"%nclusterid.", SPECIAL_NCTAID_X},
	{"%laneid", SPECIAL_LANEID},
	{"%warpid", SPECIAL_WARPID},
	{"%nwarpid", SPECIAL_NWARPID},
	{"%smid", SPECIAL_SMID},
	{"%nsmid", SPECIAL_NSMID},
	{"%gridid", SPECIAL_GRIDID},
	{"%lanemask_eq", SPECIAL_LANEMASK_EQ},
	{"%lanemask_le", SPECIAL_LANEMASK_LE},
	{"%lanemask_lt", SPECIAL_LANEMASK_LT},
	{"%lanemask_ge", SPECIAL_LANEMASK_GE},
	{"%lanemask_gt", SPECIAL_LANEMASK_GT},
	{"%dynamic_smem_size", SPECIAL_DYNAMIC_SMEM_SIZE},
	{"%total_smem_size", SPECIAL_TOTAL_SMEM_SIZE},
	{"%aggr_smem_size", SPECIAL_TOTAL_SMEM_SIZE},
	{"%envreg1", SPECIAL_ENVREG1},
	{"%envreg2", SPECIAL_ENVREG2},
	{"%cluster_nctaid.", SPECIAL_CLUSTER_NCTAID},
	{"%cluster_ctaid.", SPECIAL_CLUSTER_CTAID},
	{"%cluster_nctarank", SPECIAL_CLUSTER_NCTAID},
	{"%cluster_ctarank", SPECIAL_CLUSTER_CTAID},
	{"%clock", SPECIAL_CLOCK},
	{"%clock_hi", SPECIAL_CLOCK_HI},
	{"%clock64", SPECIAL_CLOCK64},
	{"%globaltimer", SPECIAL_GLOBALTIMER},
	{"%globaltimer_lo", SPECIAL_GLOBALTIMER_LO},
	{"%globaltimer_hi", SPECIAL_GLOBALTIMER_HI},
};

bool special_find(struct parser *parser, const struct token *name, unsigned *ret_special)
{
	if (name->text[0] != '%')
		return false;
	for (size_t i = 0; i < sizeof(specials) / sizeof(*specials); i++) {
		size_t length = strlen(specials[i].name);
		bool component = specials[i].name[length - 1] == '.';

		if (component)
			length--;
		if (name->length != length || memcmp(name->text, specials[i].name, length) != 0)
			continue;
		*ret_special = specials[i].special;
		if (!component)
			return true;
		static const char *const letters[] = {"x", "y", "z"};

		for (unsigned c = 0; c < 3; c++) {
			if (!parser_accept_dot(parser, letters[c]))
				continue;
			if (specials[i].special != SPECIAL_CLUSTER_NCTAID &&
			    specials[i].special != SPECIAL_CLUSTER_CTAID)
				*ret_special += c;
			return true;
		}
		return false;
	}
	if (name->length > 7 && memcmp(name->text, "%envreg", 7) == 0) {
		*ret_special = SPECIAL_ENVREG_OTHER;
		return true;
	}
	return false;
}

bool special_is_wide(unsigned special)
{
	return special == SPECIAL_CLOCK64 || special == SPECIAL_GLOBALTIMER || special == SPECIAL_GRIDID ||
	       special == SPECIAL_LOCAL_FRAME;
}
