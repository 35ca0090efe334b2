/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "control_socket.h"
#include "executor.h"
#include "executor_calls.h"
#include "share_pool.h"
#include "vgpu_api_wire.h"
#include "virtual.h"

/* The mediator answers from memory; one that is silent for so long is stopped, or being replaced. */
#define ANSWER_NS_MAX 5000000000u

/* What a guest sees as a handle. */
struct token_handle {
	char magic[8];
	uint8_t token[VGPU_SHARE_TOKEN_BYTES];
	uint8_t zeros[CU_IPC_HANDLE_SIZE - 8 - VGPU_SHARE_TOKEN_BYTES];
};
_Static_assert(sizeof(struct token_handle) == CU_IPC_HANDLE_SIZE, "it is a handle");
_Static_assert(VGPU_SHARE_HANDLE_BYTES >= CU_IPC_HANDLE_SIZE, "the driver's handle fits");

static const char token_magic[8] = "vgpu-ipc";

/* The socket may be a blocking one. */
static bool control_is_ready(const struct executor *executor, short events)
{
	struct pollfd control = {.fd = executor->control, .events = events};

	return poll(&control, 1, 0) > 0 && (control.revents & events);
}

static CUresult question_send(struct executor *executor, const struct request *request, enum vgpu_control_type type,
			      struct control_message *message, uint32_t flags, uint32_t id)
{
	struct shares *shares = &executor->shares;

	if (shares->count == SHARES_WAITING_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	message->share.serial = ++shares->serial;
	if (!control_is_ready(executor, POLLOUT) || control_send(executor->control, type, message) < 0)
		return CUDA_ERROR_SYSTEM_NOT_READY;
	if (shares->count == 0)
		shares->asked_ns = schedule_now();
	shares->waits[shares->count++] = (struct share_wait){.request = *request,
							     .mark = executor->latency.mark,
							     .serial = shares->serial,
							     .id = id,
							     .flags = flags};
	shares->waits[shares->count - 1].request.payload = NULL;
	shares->waits[shares->count - 1].request.payload_bytes = 0;
	return EXECUTE_DEFERRED;
}

CUresult share_publish(struct executor *executor, const struct request *request, struct control_message *message)
{
	return executor->can_share ? question_send(executor, request, VGPU_CONTROL_SHARE_PUBLISH, message, 0, 0)
				   : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult share_query(struct executor *executor, const struct request *request, enum vgpu_share_kind kind,
		     const char *token, uint32_t flags, uint32_t id)
{
	struct control_message message = {.share = {.kind = (uint32_t)kind}};
	struct token_handle handle;

	memcpy(&handle, token, sizeof(handle));
	if (!executor->can_share || memcmp(handle.magic, token_magic, sizeof(token_magic)) != 0)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(message.share.token, handle.token, sizeof(handle.token));
	return question_send(executor, request, VGPU_CONTROL_SHARE_QUERY, &message, flags, id);
}

bool share_tell_withdrawn(struct executor *executor, struct control_message *message)
{
	return control_is_ready(executor, POLLOUT) &&
	       control_send(executor->control, VGPU_CONTROL_SHARE_WITHDRAW, message) == 0;
}

CUresult execute_cuIpcGetMemHandle(struct executor *executor, const struct request *request,
				   const struct wire_cuIpcGetMemHandle *arguments,
				   struct wire_cuIpcGetMemHandle_reply *reply, void *reply_handle, size_t capacity)
{
	struct control_message message = {.share = {.kind = VGPU_SHARE_MEMORY}};
	const struct driver *driver = &executor->driver;
	struct vgpu_share_memory name = {0};
	CUipcMemHandle handle = {0};
	CUdeviceptr base = 0;
	size_t bytes = 0;
	CUresult result;

	_Static_assert(sizeof(name.data) == sizeof(handle), "the driver's words fit");
	_Static_assert(sizeof(name) <= VGPU_SHARE_HANDLE_BYTES, "and so does the name");
	(void)reply, (void)reply_handle, (void)capacity;
	if (!driver->cuIpcGetMemHandle || !driver->cuMemGetAddressRange_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = driver->cuIpcGetMemHandle(&handle, arguments->dptr);
	if (!result)
		result = driver->cuMemGetAddressRange_v2(&base, &bytes, arguments->dptr);
	if (result)
		return result;
	memcpy(name.data, &handle, sizeof(handle));
	name.bytes = bytes;
	memcpy(message.share.handle, &name, sizeof(name));
	return share_publish(executor, request, &message);
}

CUresult execute_cuIpcGetEventHandle(struct executor *executor, const struct request *request,
				     const struct wire_cuIpcGetEventHandle *arguments,
				     struct wire_cuIpcGetEventHandle_reply *reply, void *reply_handle, size_t capacity)
{
	struct control_message message = {.share = {.kind = VGPU_SHARE_EVENT}};
	CUipcEventHandle handle = {0};
	void *event;
	CUresult result = execute_find(executor, VGPU_KIND_EVENT, arguments->event, &event);

	(void)reply, (void)reply_handle, (void)capacity;
	if (result)
		return result;
	if (!executor->driver.cuIpcGetEventHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuIpcGetEventHandle(&handle, event);
	if (result)
		return result;
	memcpy(message.share.handle, handle.reserved, sizeof(handle.reserved));
	return share_publish(executor, request, &message);
}

CUresult execute_cuIpcOpenMemHandle_v2(struct executor *executor, const struct request *request,
				       const struct wire_cuIpcOpenMemHandle_v2 *arguments,
				       struct wire_cuIpcOpenMemHandle_v2_reply *reply)
{
	(void)reply;
	if (!executor->driver.cuIpcOpenMemHandle_v2 || !executor->driver.cuIpcCloseMemHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	return share_query(executor, request, VGPU_SHARE_MEMORY, arguments->handle.reserved, arguments->flags, 0);
}

CUresult execute_cuIpcCloseMemHandle(struct executor *executor, const struct request *request,
				     const struct wire_cuIpcCloseMemHandle *arguments)
{
	struct allocation *allocation = account_find(executor, arguments->dptr);
	CUresult result;

	(void)request;
	if (!executor->driver.cuIpcCloseMemHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuIpcCloseMemHandle(arguments->dptr);
	if (!result && allocation && allocation->opens && --allocation->opens == 0)
		account_remove(executor, arguments->dptr);
	return result;
}

CUresult execute_cuIpcOpenEventHandle(struct executor *executor, const struct request *request,
				      const struct wire_cuIpcOpenEventHandle *arguments)
{
	CUresult result = execute_check_mint(executor, VGPU_KIND_EVENT, arguments->event);

	if (result)
		return result;
	if (!executor->driver.cuIpcOpenEventHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	return share_query(executor, request, VGPU_SHARE_EVENT, arguments->handle.reserved, 0, arguments->event);
}

static void allocation_name(const struct physical *physical, struct control_message *message)
{
	struct vgpu_share_allocation name = {.bytes = physical->bytes, .number = physical->shared};

	message->share.kind = VGPU_SHARE_ALLOCATION;
	memcpy(message->share.handle, &name, sizeof(name));
}

CUresult execute_cuMemExportToShareableHandle(struct executor *executor, const struct request *request,
					      const struct wire_cuMemExportToShareableHandle *arguments,
					      struct wire_cuMemExportToShareableHandle_reply *reply, void *reply_handle,
					      size_t capacity)
{
	struct control_message message = {.fd_count = 1};
	struct physical *physical;
	void *object;
	int descriptor = -1;
	CUresult result = execute_find(executor, VGPU_KIND_MEMORY_HANDLE, arguments->handle, &object);

	(void)reply, (void)reply_handle, (void)capacity;
	if (result)
		return result;
	if (!executor->can_share || !executor->driver.cuMemExportToShareableHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	physical = object;
	result = executor->driver.cuMemExportToShareableHandle(&descriptor, physical->handle,
							       CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	if (result)
		return result;
	/* The same memory keeps its number, and so its token. */
	if (!physical->shared)
		physical->shared = ++executor->shares.last_number;
	allocation_name(physical, &message);
	message.fds[0] = descriptor;
	result = share_publish(executor, request, &message);
	close(descriptor);
	return result;
}

CUresult execute_cuMemImportFromShareableHandle(struct executor *executor, const struct request *request,
						const struct wire_cuMemImportFromShareableHandle *arguments,
						struct wire_cuMemImportFromShareableHandle_reply *reply)
{
	CUresult result = execute_check_mint(executor, VGPU_KIND_MEMORY_HANDLE, arguments->handle);

	(void)reply;
	if (result)
		return result;
	if (!executor->driver.cuMemImportFromShareableHandle ||
	    !executor->driver.cuMemGetAllocationPropertiesFromHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	return share_query(executor, request, VGPU_SHARE_ALLOCATION, arguments->shareable.reserved, 0,
			   arguments->handle);
}

bool share_withdraw(struct executor *executor, const struct physical *physical)
{
	struct control_message message = {.fd_count = 0};

	allocation_name(physical, &message);
	return share_tell_withdrawn(executor, &message);
}

/* The reply to a request, built when the answer has come. */
struct answer {
	uint8_t bytes[sizeof(struct wire_cuIpcGetMemHandle_reply) + CU_IPC_HANDLE_SIZE];
	size_t count;
};

static void token_give(const struct vgpu_control_share *share, struct answer *answer)
{
	struct wire_cuIpcGetMemHandle_reply reply = {.handle_bytes = CU_IPC_HANDLE_SIZE};
	struct token_handle token = {0};

	_Static_assert(sizeof(reply) == sizeof(struct wire_cuIpcGetEventHandle_reply) &&
			       sizeof(reply) == sizeof(struct wire_cuMemExportToShareableHandle_reply) &&
			       sizeof(reply) == sizeof(struct wire_cuMemPoolExportToShareableHandle_reply) &&
			       sizeof(reply) == sizeof(struct wire_cuMemPoolExportPointer_reply),
		       "the replies are alike");
	memcpy(token.magic, token_magic, sizeof(token_magic));
	memcpy(token.token, share->token, sizeof(token.token));
	memcpy(answer->bytes, &reply, sizeof(reply));
	memcpy(answer->bytes + sizeof(reply), &token, sizeof(token));
	answer->count = sizeof(reply) + sizeof(token);
}

/* Each context has the memory at one address however often it opens it (API reference): it counts once. */
static CUresult memory_open_charged(struct executor *executor, const struct share_wait *wait,
				    const struct vgpu_share_memory *name, CUdeviceptr *ret_address)
{
	const char *call = "cuIpcOpenMemHandle";
	struct allocation *allocation;
	CUdeviceptr address = 0;
	CUipcMemHandle handle;
	/* Only then is it known whether it is open already; nothing more is taken of the device. */
	CUresult result = account_admit(executor, call, 0);

	memcpy(&handle, name->data, sizeof(handle));
	if (!result)
		result = executor->driver.cuIpcOpenMemHandle_v2(&address, handle, wait->flags);
	if (result)
		return result;
	allocation = account_find(executor, address);
	if (!allocation || !allocation->opens) {
		result = account_adjust(executor, name->bytes);
		if (result)
			executor->driver.cuIpcCloseMemHandle(address);
		account_add(executor, call, result, address, name->bytes, wait->request.context);
		allocation = account_find(executor, address);
	}
	if (result)
		return result;
	allocation->opens++;
	/* It ends with the last of them. */
	if (allocation->context != context_owner_id(executor, wait->request.context))
		allocation->context = 0;
	*ret_address = address;
	return CUDA_SUCCESS;
}

static CUresult memory_open(struct executor *executor, const struct share_wait *wait,
			    const struct vgpu_control_share *share, struct answer *answer)
{
	struct wire_cuIpcOpenMemHandle_v2_reply reply = {0};
	struct vgpu_share_memory name;
	CUdeviceptr address = 0;
	CUresult result;

	memcpy(&name, share->handle, sizeof(name));
	result = memory_open_charged(executor, wait, &name, &address);
	if (result)
		return result;
	reply.dptr = address;
	memcpy(answer->bytes, &reply, sizeof(reply));
	answer->count = sizeof(reply);
	return CUDA_SUCCESS;
}

static CUresult event_open(struct executor *executor, const struct share_wait *wait,
			   const struct vgpu_control_share *share)
{
	CUipcEventHandle handle;
	CUevent event = NULL;
	/* The guest may have taken the id for something else meanwhile. */
	CUresult result = execute_check_mint(executor, VGPU_KIND_EVENT, wait->id);

	if (result)
		return result;
	memcpy(handle.reserved, share->handle, sizeof(handle.reserved));
	result = executor->driver.cuIpcOpenEventHandle(&event, handle);
	if (result)
		return result;
	executor->request = &wait->request;
	execute_mint(executor, wait->id, wait->request.context, event);
	executor->request = NULL;
	return CUDA_SUCCESS;
}

static CUresult allocation_open(struct executor *executor, const struct share_wait *wait,
				const struct control_message *message, struct answer *answer)
{
	struct wire_cuMemImportFromShareableHandle_reply reply = {0};
	struct vgpu_share_allocation name;
	CUmemAllocationProp properties = {0};
	CUresult result = execute_check_mint(executor, VGPU_KIND_MEMORY_HANDLE, wait->id);

	if (!result && message->fd_count != 1)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	memcpy(&name, message->share.handle, sizeof(name));
	executor->request = &wait->request;
	result = physical_import(executor, wait->id, message->fds[0], name.bytes, &properties);
	executor->request = NULL;
	reply.size = name.bytes;
	reply.dev = properties.location.id;
	reply.compression = properties.allocFlags.compressionType;
	memcpy(answer->bytes, &reply, sizeof(reply));
	answer->count = sizeof(reply);
	return result;
}

static bool is_publishing(uint32_t opcode)
{
	return opcode == VGPU_CALL_cuIpcGetMemHandle || opcode == VGPU_CALL_cuIpcGetEventHandle ||
	       opcode == VGPU_CALL_cuMemExportToShareableHandle ||
	       opcode == VGPU_CALL_cuMemPoolExportToShareableHandle || opcode == VGPU_CALL_cuMemPoolExportPointer;
}

static CUresult pool_open(struct executor *executor, const struct share_wait *wait,
			  const struct control_message *message, struct answer *answer)
{
	struct wire_cuMemPoolImportFromShareableHandle_reply reply = {0};
	CUresult result = shared_pool_open(executor, wait, message, &reply.dev);

	memcpy(answer->bytes, &reply, sizeof(reply));
	answer->count = sizeof(reply);
	return result;
}

static CUresult pointer_open(struct executor *executor, const struct share_wait *wait,
			     const struct vgpu_control_share *share, struct answer *answer)
{
	struct wire_cuMemPoolImportPointer_reply reply = {0};
	struct vgpu_share_pointer name;
	CUresult result;

	memcpy(&name, share->handle, sizeof(name));
	result = shared_pool_open_pointer(executor, wait->id, &name, &reply.ptr);
	reply.size = name.bytes;
	memcpy(answer->bytes, &reply, sizeof(reply));
	answer->count = sizeof(reply);
	return result;
}

static CUresult request_finish(struct executor *executor, const struct share_wait *wait,
			       const struct control_message *message, struct answer *answer)
{
	const struct vgpu_control_share *share = &message->share;
	uint32_t opcode = wait->request.opcode;

	if (is_publishing(opcode)) {
		/* The tenant has given out all that it may. */
		if (!share->is_granted)
			return CUDA_ERROR_OUT_OF_MEMORY;
		token_give(share, answer);
		return CUDA_SUCCESS;
	}
	/* A token that nobody gave out is no handle. */
	if (!share->is_granted)
		return CUDA_ERROR_INVALID_VALUE;
	if (opcode == VGPU_CALL_cuMemImportFromShareableHandle)
		return allocation_open(executor, wait, message, answer);
	if (opcode == VGPU_CALL_cuMemPoolImportFromShareableHandle)
		return pool_open(executor, wait, message, answer);
	if (opcode == VGPU_CALL_cuMemPoolImportPointer)
		return pointer_open(executor, wait, share, answer);
	if (!context_enter(executor, wait->request.context))
		return CUDA_ERROR_INVALID_CONTEXT;
	return opcode == VGPU_CALL_cuIpcOpenEventHandle ? event_open(executor, wait, share)
							: memory_open(executor, wait, share, answer);
}

/* Replies to the oldest request. */
static void wait_end(struct executor *executor, CUresult result, const struct answer *answer)
{
	struct shares *shares = &executor->shares;

	if (result)
		counter_add(&executor->counters->errors, 1);
	if (shares->waits[0].request.flags & VGPU_FLAG_REPLY)
		reply_send(executor, &shares->waits[0].request, result, answer->bytes, result ? 0 : answer->count);
	latency_end_deferred(executor, &shares->waits[0].request, &shares->waits[0].mark);
	shares->count--;
	memmove(&shares->waits[0], &shares->waits[1], shares->count * sizeof(shares->waits[0]));
	shares->asked_ns = schedule_now();
}

static void answer_take(struct executor *executor, const struct control_message *message)
{
	struct shares *shares = &executor->shares;
	struct answer answer = {.count = 0};
	struct share_wait wait;
	size_t place = 0;
	CUresult result;

	while (place < shares->count && shares->waits[place].serial != message->share.serial)
		place++;
	/* Late: the request was given up. */
	if (place == shares->count)
		return;
	/* Those before it were asked of a mediator that is no more. */
	while (place-- > 0)
		wait_end(executor, CUDA_ERROR_SYSTEM_NOT_READY, &answer);
	wait = shares->waits[0];
	result = request_finish(executor, &wait, message, &answer);
	wait_end(executor, result, &answer);
}

bool share_poll(struct executor *executor)
{
	struct shares *shares = &executor->shares;
	struct control_message message;
	size_t before = shares->count;

	while (shares->count && control_is_ready(executor, POLLIN) &&
	       control_receive(executor->control, &message) > 0) {
		if (message.header.type == VGPU_CONTROL_SHARE_REPLY)
			answer_take(executor, &message);
		control_message_release(&message);
	}
	if (shares->count && schedule_now() - shares->asked_ns > ANSWER_NS_MAX)
		wait_end(executor, CUDA_ERROR_SYSTEM_NOT_READY, &(struct answer){.count = 0});
	return shares->count != before;
}
