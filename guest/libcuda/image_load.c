/* SPDX-License-Identifier: Apache-2.0 */
#include "image_load.h"

#include <stdlib.h>

#include "context.h"
#include "device.h"
#include "host_calls.h"
#include "image_select.h"
#include "managed_variables.h"
#include "module.h"
#include "stage.h"

static CUresult image_send(uint32_t context, struct owner *owner, const struct image *image,
			   const struct jit_options *options, bool moves_later, load_request request)
{
	struct load_answer *answer = malloc(sizeof(*answer));
	bool releases = false;
	CUresult result;

	if (!answer)
		return CUDA_ERROR_OUT_OF_MEMORY;
	answer->information_bytes = answer->error_bytes = answer->logs_bytes = 0;
	answer->microseconds = 0;
	result = stage_begin(image);
	if (!result && !moves_later)
		result = managed_variables_place(context, owner, image, options, &releases);
	if (!result)
		result = request(context, owner->object->id, image, options, answer);
	stage_end();
	if (releases)
		(void)context_primary_release(0);
	jit_options_give_logs(options, answer->logs, answer->logs_bytes, answer->information_bytes,
			      answer->error_bytes);
	jit_options_give_time(options, answer->microseconds);
	free(answer);
	return result;
}

CUresult image_load(enum vgpu_kind kind, uint32_t owner_context, uint32_t context, struct image *image,
		    const struct jit_options *options, bool moves_later, load_request request,
		    struct object **ret_object)
{
	CUresult result = image_select(image, device_majors());
	struct owner *owner;

	if (result)
		return result;
	owner = owner_new(kind, owner_context);
	if (!owner)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = image_send(context, owner, image, options, moves_later, request);
	if (result) {
		owner_abandon(owner);
		return result;
	}
	*ret_object = owner->object;
	return CUDA_SUCCESS;
}

CUresult image_move_managed(struct owner *owner, uint32_t context, struct image *image, load_request request,
			    bool *ret_releases)
{
	const struct jit_options options = {0};
	struct load_answer *answer;
	CUresult result = image_select(image, device_majors());

	*ret_releases = false;
	if (result)
		return result;
	answer = malloc(sizeof(*answer));
	if (!answer)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = stage_begin(image);
	if (!result)
		result = managed_variables_place(context, owner, image, &options, ret_releases);
	/* Under the same id. */
	if (!result && owner->managed)
		result = host_cuLibraryUnload(context, owner->object->id);
	if (!result && owner->managed)
		result = request(context, owner->object->id, image, &options, answer);
	stage_end();
	free(answer);
	return result;
}
