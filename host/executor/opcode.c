/* SPDX-License-Identifier: Apache-2.0 */
#include "opcode.h"

#include "execute.h"
#include "vgpu_api_wire.h"

const char *opcode_name(uint16_t opcode)
{
	static const char *const names[] = {
		[VGPU_OPCODE_HELLO] = "HELLO",
		[VGPU_OPCODE_SNAPSHOT] = "SNAPSHOT",
		[VGPU_OPCODE_UPLOAD] = "UPLOAD",
		[VGPU_OPCODE_UPLOAD_INLINE] = "UPLOAD_INLINE",
		[VGPU_OPCODE_DOWNLOAD] = "DOWNLOAD",
		[VGPU_OPCODE_DOWNLOAD_INLINE] = "DOWNLOAD_INLINE",
		[VGPU_OPCODE_STAGE] = "STAGE",
		[VGPU_OPCODE_LAUNCH] = "LAUNCH",
		[VGPU_OPCODE_HOST_MAP] = "HOST_MAP",
		[VGPU_OPCODE_HOST_UNMAP] = "HOST_UNMAP",
		[VGPU_OPCODE_HOST_AREA] = "HOST_AREA",
		[VGPU_OPCODE_HOST_PLACE] = "HOST_PLACE",
		[VGPU_OPCODE_HOST_PIN] = "HOST_PIN",
		[VGPU_OPCODE_FUNCTION_INFO] = "FUNCTION_INFO",
		[VGPU_OPCODE_UPLOAD_WINDOW_RELEASE] = "UPLOAD_WINDOW_RELEASE",
		[VGPU_OPCODE_NVML_CALL] = "NVML_CALL",
		[VGPU_OPCODE_NVML_MEMORY] = "NVML_MEMORY",
		[VGPU_OPCODE_NVML_PROCESSES] = "NVML_PROCESSES",
		[VGPU_OPCODE_NVML_UTILIZATION] = "NVML_UTILIZATION",
		[VGPU_OPCODE_ARRAY_UPLOAD] = "ARRAY_UPLOAD",
		[VGPU_OPCODE_ARRAY_DOWNLOAD] = "ARRAY_DOWNLOAD",
	};

	if (opcode >= VGPU_OPCODE_API)
		return execute_api_name(opcode);
	return opcode < sizeof(names) / sizeof(names[0]) && names[opcode] ? names[opcode] : "?";
}

enum vgpu_call_class opcode_class(uint16_t opcode)
{
	if (opcode >= VGPU_OPCODE_API)
		return execute_api_class(opcode);
	switch (opcode) {
	case VGPU_OPCODE_LAUNCH:
		return VGPU_CLASS_LAUNCH;
	case VGPU_OPCODE_UPLOAD:
	case VGPU_OPCODE_UPLOAD_INLINE:
	case VGPU_OPCODE_DOWNLOAD:
	case VGPU_OPCODE_DOWNLOAD_INLINE:
	case VGPU_OPCODE_ARRAY_UPLOAD:
	case VGPU_OPCODE_ARRAY_DOWNLOAD:
		return VGPU_CLASS_COPY;
	case VGPU_OPCODE_HOST_MAP:
	case VGPU_OPCODE_HOST_UNMAP:
	case VGPU_OPCODE_HOST_AREA:
	case VGPU_OPCODE_HOST_PLACE:
	case VGPU_OPCODE_HOST_PIN:
		return VGPU_CLASS_MEMORY;
	case VGPU_OPCODE_STAGE: /* of a module's image */
	case VGPU_OPCODE_FUNCTION_INFO:
		return VGPU_CLASS_MODULE;
	default:
		return VGPU_CLASS_OTHER;
	}
}

bool opcode_is_instant(uint16_t opcode)
{
	switch (opcode) {
	case VGPU_CALL_cuCtxSynchronize:
	case VGPU_CALL_cuEventQuery:
	case VGPU_CALL_cuEventRecord:
	case VGPU_CALL_cuEventRecordWithFlags:
	case VGPU_CALL_cuEventSynchronize:
	case VGPU_CALL_cuStreamQuery:
	case VGPU_CALL_cuStreamSynchronize:
	case VGPU_CALL_cuStreamWaitEvent:
		return true;
	default:
		return false;
	}
}
