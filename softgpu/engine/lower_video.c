/* SPDX-License-Identifier: Apache-2.0 */
/* The video instructions that treat a register as two halves or four bytes (vadd4 and its like). */
#include "lower.h"
#include "lower_families.h"
#include "scalar.h"
#include "video.h"

static bool type_fits(enum ptx_type type)
{
	return type == PTX_U32 || type == PTX_S32;
}

static bool lower_video(struct lower *lower, enum video_operation operation, unsigned elements)
{
	static const char *const comparisons[] = {"eq", "ne", "lt", "le", "gt", "ge"};
	const enum ptx_type sources[] = {PTX_U32, PTX_U32, PTX_U32};
	bool saturate = lower_take(lower, "sat"), add = lower_take(lower, "add");
	enum ptx_type d = PTX_U32, a, b;
	unsigned comparison = 0;
	struct instruction *ins;

	/* vset has no result type: its elements are 0 or 1. */
	if (operation != VIDEO_SET)
		d = lower_take_type(lower);
	a = lower_take_type(lower);
	b = lower_take_type(lower);
	if (!type_fits(d) || !type_fits(a) || !type_fits(b))
		return lower_unsupported(lower);
	if (operation == VIDEO_SET) {
		while (comparison < 6 && !lower_take(lower, comparisons[comparison]))
			comparison++;
		if (comparison == 6)
			return lower_unsupported(lower);
	}
	if (!lower_scalar(lower, scalar_video, PTX_U32, sources, 3, &ins))
		return false;
	ins->op = (uint8_t)operation;
	ins->count = (uint8_t)elements;
	ins->type = (uint8_t)a;
	ins->type2 = (uint8_t)b;
	ins->invert = d == PTX_S32;
	ins->combine = (uint8_t)comparison;
	ins->flags = (uint8_t)((saturate ? VIDEO_SATURATE : 0) | (add ? VIDEO_ADD_UP : 0));
	return true;
}

#define DEFINE_VIDEO(name, operation)                     \
	static bool lower_##name##2(struct lower * lower) \
	{                                                 \
		return lower_video(lower, operation, 2);  \
	}                                                 \
	static bool lower_##name##4(struct lower * lower) \
	{                                                 \
		return lower_video(lower, operation, 4);  \
	}

DEFINE_VIDEO(vadd, VIDEO_ADD)
DEFINE_VIDEO(vsub, VIDEO_SUB)
DEFINE_VIDEO(vavrg, VIDEO_AVERAGE)
DEFINE_VIDEO(vabsdiff, VIDEO_ABSDIFF)
DEFINE_VIDEO(vmin, VIDEO_MIN)
DEFINE_VIDEO(vmax, VIDEO_MAX)
DEFINE_VIDEO(vset, VIDEO_SET)

const struct lower_entry lower_video_opcodes[] = {
	{"vadd2", lower_vadd2, false},	       {"vadd4", lower_vadd4, false},	      {"vsub2", lower_vsub2, false},
	{"vsub4", lower_vsub4, false},	       {"vavrg2", lower_vavrg2, false},	      {"vavrg4", lower_vavrg4, false},
	{"vabsdiff2", lower_vabsdiff2, false}, {"vabsdiff4", lower_vabsdiff4, false}, {"vmin2", lower_vmin2, false},
	{"vmin4", lower_vmin4, false},	       {"vmax2", lower_vmax2, false},	      {"vmax4", lower_vmax4, false},
	{"vset2", lower_vset2, false},	       {"vset4", lower_vset4, false},	      {NULL, NULL, false},
};
