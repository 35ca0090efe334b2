/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes: string search, CRC-32 with a table in constant memory, FNV-1a and a 64-bit mixing hash. */

extern "C" __global__ void string_search(const char *text, unsigned length, const char *pattern,
					 unsigned pattern_length, unsigned *positions, unsigned *found)
{
	unsigned start = blockIdx.x * blockDim.x + threadIdx.x;
	if (start + pattern_length > length)
		return;
	for (unsigned i = 0; i < pattern_length; i++)
		if (text[start + i] != pattern[i])
			return;
	positions[atomicAdd(found, 1)] = start;
}

/* Filled by the host through cuModuleGetGlobal. */
__constant__ unsigned crc_table[256];

extern "C" __global__ void crc32_rows(const unsigned char *rows, unsigned row_bytes, unsigned *checksums)
{
	unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
	const unsigned char *bytes = rows + row * row_bytes;
	unsigned crc = 0xffffffffu;
	for (unsigned i = 0; i < row_bytes; i++)
		crc = (crc >> 8) ^ crc_table[(crc ^ bytes[i]) & 0xff];
	checksums[row] = ~crc;
}

extern "C" __global__ void hash_rows(const unsigned char *rows, unsigned row_bytes, unsigned long long *hashes)
{
	unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned long long hash = 0xcbf29ce484222325ull;
	for (unsigned i = 0; i < row_bytes; i++)
		hash = (hash ^ rows[row * row_bytes + i]) * 0x100000001b3ull;
	hash ^= hash >> 33;
	hash *= 0xff51afd7ed558ccdull;
	hash ^= hash >> 33;
	hashes[row] = hash;
}
