/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records: what the two rings of a channel carry.
 *
 * A record is a struct vgpu_record followed by its payload, both counted in
 * 'length', which is a multiple of VGPU_RECORD_ALIGNMENT.  A record never wraps:
 * where it would, the producer first writes a PAD record to the ring's end.
 *
 * Opcodes below VGPU_OPCODE_API are the protocol's own, described here; the
 * others are calls of the CUDA Driver API, described in api/ and generated.
 *
 * A request with VGPU_FLAG_REPLY gets exactly one reply with the same opcode and
 * sequence; replies may come in another order than their requests.  A request
 * without it is answered only by vgpu_channel_header.deferred_error, if it fails.
 * Reply-ring records with VGPU_FLAG_EVENT belong to no request.
 */
#ifndef VGPU_WIRE_H
#define VGPU_WIRE_H

#include <stdint.h>

#define VGPU_RECORD_ALIGNMENT 8u
#define VGPU_RECORD_BYTES_MAX (64u << 10) /* in either direction; larger data goes through the windows */

#define VGPU_FLAG_REPLY 0x0001u /* request: wants a reply; reply: is one */
#define VGPU_FLAG_EVENT 0x0002u

struct vgpu_record {
	uint32_t length;
	uint16_t opcode;
	uint16_t flags;
	uint32_t sequence;
	/* Request: wire id of the context that is current in the calling thread, 0: none. Reply: CUresult. */
	uint32_t context_or_result;
};
_Static_assert(sizeof(struct vgpu_record) == 16, "wire format");

enum vgpu_opcode {
	VGPU_OPCODE_PAD = 0,
	VGPU_OPCODE_HELLO = 1,
	VGPU_OPCODE_SNAPSHOT = 2,
	VGPU_OPCODE_UPLOAD = 3,	       /* copy from the upload window to the device */
	VGPU_OPCODE_UPLOAD_INLINE = 4, /* copy bytes that follow in the record */
	VGPU_OPCODE_DOWNLOAD = 5,      /* copy from the device to the download window, reply when it is there */
	VGPU_OPCODE_DOWNLOAD_INLINE = 6,
	VGPU_OPCODE_STAGE = 7,	  /* append bytes to the staging buffer (module images, long arguments) */
	VGPU_OPCODE_LAUNCH = 8,	  /* cuLaunchKernel and cuLaunchKernelEx */
	VGPU_OPCODE_HOST_MAP = 9, /* a memory file from the pass socket becomes pinned memory */
	VGPU_OPCODE_HOST_UNMAP = 10,
	VGPU_OPCODE_PRINT = 11,		/* event: device printf text for the guest's stdout */
	VGPU_OPCODE_FUNCTION_INFO = 12, /* attributes and parameter layout of a kernel, on first use */
	VGPU_OPCODE_UPLOAD_WINDOW_RELEASE =
		13,		       /* skip upload-window bytes that carry nothing (padding, abandoned copy) */
	VGPU_OPCODE_HOST_AREA = 14,    /* the channel's area of pinned memory gets its address */
	VGPU_OPCODE_HOST_PLACE = 15,   /* memory for what lies at an address of the program, not pinned yet */
	VGPU_OPCODE_HOST_PIN = 16,     /* what HOST_PLACE has mapped becomes pinned memory */
	VGPU_OPCODE_ARRAY_UPLOAD = 20, /* copy from the upload window to an array */
	VGPU_OPCODE_ARRAY_DOWNLOAD = 21,
	VGPU_OPCODE_NVML_CALL = 40, /* these four: vgpu_nvml.h */
	VGPU_OPCODE_NVML_MEMORY = 41,
	VGPU_OPCODE_NVML_PROCESSES = 42,
	VGPU_OPCODE_NVML_UTILIZATION = 43,
	VGPU_OPCODE_API = 64,
};

/* HELLO, the first record of a guest, and its reply. */
struct vgpu_hello {
	uint32_t version;      /* VGPU_PROTOCOL_VERSION of the guest library */
	uint32_t api_checksum; /* of the API description: of the layouts of all calls */
	uint64_t features;
	uint32_t process_id;   /* in the guest, for logs only */
	uint32_t settings;     /* of the program's environment (vgpu_settings.h) */
	char process_name[64]; /* NUL-terminated, for logs only */
	/* May be followed by the program's CUDA_VISIBLE_DEVICES, NUL-terminated; for CUDA only. */
};
#define VGPU_VISIBLE_BYTES_MAX 1024 /* of that, with its end */
struct vgpu_hello_reply {
	uint32_t version;
	uint32_t api_checksum;
	uint64_t features;	 /* of both sides */
	uint32_t driver_version; /* cuDriverGetVersion of the host */
	uint32_t init_result;	 /* CUresult of cuInit on the host */
	uint32_t device_count;
	uint32_t driver_is_software; /* 1: softgpu */
};
#define VGPU_FEATURE_HOST_MAP	  0x1ull     /* pinned memory is shared with the executor (local transport) */
#define VGPU_FEATURE_SHARE	  0x2ull     /* processes of one tenant can share memory and events */
#define VGPU_FEATURE_FUNCTION_END 0x4ull     /* the guest is told which host functions no graph has any more */
#define VGPU_FEATURE_HOST_AREA	  0x8ull     /* the channel has an area of memory that can be pinned */
#define VGPU_FEATURE_HOST_PLACE	  0x10ull    /* memory that the program has can become pinned memory */
#define VGPU_FEATURE_ERROR_OF	  0x20ull    /* deferred_error names its context */
#define VGPU_FEATURE_TELEMETRY	  0x10000ull /* the channel is for NVML and nothing else (vgpu_nvml.h) */

/* SNAPSHOT: everything about one device that cannot change. Request: the ordinal. */
#define VGPU_ATTRIBUTES_MAX 192
struct vgpu_snapshot_request {
	uint32_t device;
	uint32_t reserved;
};
struct vgpu_snapshot_reply {
	char name[256];
	uint8_t uuid[16];
	uint8_t uuid_v2[16];
	uint64_t total_bytes;
	char pci_bus_id[32];
	char luid[8];
	uint32_t luid_node_mask;
	uint32_t luid_result;
	uint32_t attribute_count;
	uint32_t reserved;
	int32_t attribute_values[VGPU_ATTRIBUTES_MAX];
	uint16_t attribute_results[VGPU_ATTRIBUTES_MAX]; /* CUresult of each */
};

/* Streams on the wire: 0 legacy default, else a minted id. The guest mints its per-thread default streams. */
struct vgpu_upload {
	uint64_t destination; /* device address */
	uint64_t bytes;
	uint64_t window_position; /* FIFO position (mod 2^64) of the first byte; its place is position mod upload_bytes
				   */
	uint32_t stream;
	uint32_t array; /* reserved, 0 */
};
struct vgpu_upload_inline {
	uint64_t destination;
	uint32_t bytes; /* that follow */
	uint32_t stream;
};
struct vgpu_download {
	uint64_t source;
	uint64_t bytes;
	uint64_t window_offset;
	uint32_t stream;
	uint32_t reserved;
};
struct vgpu_download_inline {
	uint64_t source;
	uint32_t bytes; /* at most VGPU_RECORD_BYTES_MAX minus the record header; the reply carries them */
	uint32_t stream;
};

/* Rows of one slice of an array; in the window they follow each other without a gap. */
struct vgpu_array_rows {
	uint32_t array; /* wire id */
	uint32_t stream;
	uint64_t x_bytes;
	uint64_t width_bytes;
	uint32_t y;
	uint32_t z;
	uint32_t rows;
	uint32_t reserved;
};
struct vgpu_array_upload {
	struct vgpu_array_rows rows;
	uint64_t window_position; /* as in struct vgpu_upload */
};
struct vgpu_array_download {
	struct vgpu_array_rows rows;
	uint64_t window_offset;
};
struct vgpu_upload_window_release {
	uint64_t position; /* all before it may be reused once earlier uploads are done */
};

/*
 * STAGE: one staging buffer per executor, filled by posted records in order and consumed by the next
 * call whose description has a staged argument. offset must equal what is there already (0 starts anew).
 */
struct vgpu_stage {
	uint64_t total_bytes; /* of the whole staged object */
	uint64_t offset;
	uint32_t bytes;	 /* of this piece */
	uint32_t source; /* 0: follow in the record, 1: in the upload window at window_position */
	uint64_t window_position;
};

/* LAUNCH. Parameter bytes follow, then 'attribute_count' struct vgpu_launch_attribute. */
struct vgpu_launch {
	uint32_t function; /* wire id of a function or a kernel */
	uint32_t stream;
	uint32_t grid[3];
	uint32_t block[3];
	uint32_t shared_bytes;
	uint32_t parameter_bytes; /* padded to 8 on the wire */
	uint32_t attribute_count;
	uint32_t cooperative; /* cuLaunchCooperativeKernel */
};
#define VGPU_LAUNCH_ATTRIBUTES_MAX 32
#define VGPU_LAUNCHES_MAX	   64 /* of cuLaunchCooperativeKernelMultiDevice: one for each device */
struct vgpu_launch_attribute {
	uint32_t id;	 /* CUlaunchAttributeID */
	uint32_t handle; /* wire id of the event inside the value, 0: none */
	uint8_t value[64];
};

/* The tail of cuMemMapArrayAsync: one operation, of a tile region or (is_tail) of bytes of the mip tail. */
struct vgpu_array_map {
	uint32_t resource; /* wire id of an array or a mipmapped array */
	uint32_t is_tail;
	uint32_t level;
	uint32_t layer;
	uint32_t at[3];
	uint32_t extent[3];
	uint64_t tail_offset;
	uint64_t tail_bytes;
	uint64_t offset;    /* in the memory */
	uint32_t operation; /* CUmemOperationType */
	uint32_t memory;    /* wire id; 0: none, to unmap */
	uint32_t device_mask;
	uint32_t reserved;
};
#define VGPU_ARRAY_MAPS_MAX 512 /* in one request */

/* The tail of cuTensorMapEncode*: what each of them takes, 0 where it takes no such thing. */
#define VGPU_TENSOR_RANK_MAX 5
struct vgpu_tensor_map {
	uint64_t address;
	uint64_t dimensions[VGPU_TENSOR_RANK_MAX];
	uint64_t strides[VGPU_TENSOR_RANK_MAX - 1];
	uint32_t element_strides[VGPU_TENSOR_RANK_MAX];
	uint32_t box[VGPU_TENSOR_RANK_MAX];
	int32_t lower[VGPU_TENSOR_RANK_MAX - 2];
	int32_t upper[VGPU_TENSOR_RANK_MAX - 2];
	uint32_t channels;
	uint32_t pixels;
	uint32_t rank;
	uint32_t data_type;
	uint32_t interleave;
	uint32_t mode;
	uint32_t swizzle;
	uint32_t promotion;
	uint32_t fill;
	uint32_t reserved;
};
_Static_assert(sizeof(struct vgpu_tensor_map) == 184, "wire format");

/* FUNCTION_INFO: request: a function or kernel; the reply is followed by parameter_count {offset, bytes}. */
#define VGPU_FUNCTION_ATTRIBUTES_MAX 32
struct vgpu_function_info_request {
	uint32_t function;
	uint32_t device;
};
struct vgpu_function_info_reply {
	int32_t attribute_values[VGPU_FUNCTION_ATTRIBUTES_MAX];
	uint16_t attribute_results[VGPU_FUNCTION_ATTRIBUTES_MAX];
	uint32_t parameter_count;
	uint32_t parameter_bytes; /* end of the last parameter */
};
struct vgpu_function_parameter {
	uint32_t offset;
	uint32_t bytes;
};

/*
 * HOST_MAP: the next descriptor from the pass socket, mapped at 'address' and registered with the driver; or, after
 * HOST_AREA, a part of the channel's area.
 */
struct vgpu_host_map {
	uint64_t address; /* page aligned, the same in guest process and executor */
	uint64_t bytes;
	uint32_t register_flags; /* of cuMemHostRegister */
	uint32_t reserved;
};
struct vgpu_host_unmap {
	uint64_t address;
};
/*
 * HOST_PLACE: the next descriptor from the pass socket, or a part of the channel's area, mapped at an address where the
 * guest has memory already, and charged. CUDA_ERROR_ALREADY_MAPPED: the address is taken. The guest fills it, and asks
 * for HOST_PIN; HOST_UNMAP ends it, pinned or not.
 */
struct vgpu_host_place {
	uint64_t address; /* page aligned */
	uint64_t bytes;
	uint64_t area_offset; /* of the part, where no descriptors come */
};
struct vgpu_host_pin {
	uint64_t address;
	uint32_t register_flags; /* of cuMemHostRegister */
	uint32_t reserved;
};
/* HOST_AREA, once: where the guest has the area. CUDA_ERROR_ALREADY_MAPPED: it has to lie elsewhere. */
struct vgpu_host_area {
	uint64_t address; /* page aligned */
};

/*
 * Wire ids of objects: kind in the top 8 bits, index in the lower 24. Minted by the guest, 0 is none.
 */
#define VGPU_ID_INDEX_BITS   24
#define VGPU_ID_INDEX_MAX    ((1u << VGPU_ID_INDEX_BITS) - 1)
#define VGPU_ID(kind, index) (((uint32_t)(kind) << VGPU_ID_INDEX_BITS) | (index))
#define VGPU_ID_KIND(id)     ((id) >> VGPU_ID_INDEX_BITS)
#define VGPU_ID_INDEX(id)    ((id)&VGPU_ID_INDEX_MAX)

enum vgpu_kind {
	VGPU_KIND_NONE = 0,
	VGPU_KIND_CONTEXT,
	VGPU_KIND_STREAM,
	VGPU_KIND_EVENT,
	VGPU_KIND_MODULE,
	VGPU_KIND_FUNCTION,
	VGPU_KIND_LIBRARY,
	VGPU_KIND_KERNEL,
	VGPU_KIND_MEMORY_POOL,
	VGPU_KIND_LINK_STATE,
	VGPU_KIND_GRAPH,
	VGPU_KIND_GRAPH_NODE,
	VGPU_KIND_GRAPH_EXEC,
	VGPU_KIND_ARRAY,
	VGPU_KIND_MIPMAPPED_ARRAY,
	VGPU_KIND_TEXTURE,
	VGPU_KIND_SURFACE,
	VGPU_KIND_MEMORY_HANDLE, /* of physical memory: virtual memory management */
	VGPU_KIND_GREEN_CONTEXT,
	VGPU_KIND_USER_OBJECT, /* of graphs */
	VGPU_KIND_TEXTURE_REFERENCE,
	VGPU_KIND_SURFACE_REFERENCE,
	VGPU_KIND_COUNT,
};

/*
 * Indices of each kind: the guest mints those below, the executor takes no others. A guest that runs into
 * them leaks; the largest programs known use a few thousand kernels.
 */
static const uint32_t vgpu_kind_capacity[VGPU_KIND_COUNT] = {
	[VGPU_KIND_CONTEXT] = 256,
	[VGPU_KIND_STREAM] = 16384,
	[VGPU_KIND_EVENT] = 262144,
	[VGPU_KIND_MODULE] = 65536,
	[VGPU_KIND_FUNCTION] = 262144,
	[VGPU_KIND_LIBRARY] = 65536,
	[VGPU_KIND_KERNEL] = 262144,
	[VGPU_KIND_MEMORY_POOL] = 1024,
	[VGPU_KIND_LINK_STATE] = 1024,
	[VGPU_KIND_GRAPH] = 65536,
	[VGPU_KIND_GRAPH_NODE] = 262144,
	[VGPU_KIND_GRAPH_EXEC] = 65536,
	[VGPU_KIND_ARRAY] = 65536,
	[VGPU_KIND_MIPMAPPED_ARRAY] = 16384,
	[VGPU_KIND_TEXTURE] = 262144,
	[VGPU_KIND_SURFACE] = 262144,
	[VGPU_KIND_MEMORY_HANDLE] = 262144,
	[VGPU_KIND_GREEN_CONTEXT] = 256,
	[VGPU_KIND_USER_OBJECT] = 65536,
	[VGPU_KIND_TEXTURE_REFERENCE] = 65536,
	[VGPU_KIND_SURFACE_REFERENCE] = 65536,
};

#endif
