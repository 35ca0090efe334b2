/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOFTGPU_VIDEO_H
#define SOFTGPU_VIDEO_H

/* In ins->op of scalar_video; ins->count elements, ins->combine: the comparison of VIDEO_SET. */
enum video_operation {
	VIDEO_ADD,
	VIDEO_SUB,
	VIDEO_AVERAGE,
	VIDEO_ABSDIFF,
	VIDEO_MIN,
	VIDEO_MAX,
	VIDEO_SET,
};

enum video_flags {
	VIDEO_SATURATE = 1,
	VIDEO_ADD_UP = 2, /* the sum of the elements and c */
};

#endif
