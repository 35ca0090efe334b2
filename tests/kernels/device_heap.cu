/* SPDX-License-Identifier: Apache-2.0 */
/* malloc and free on the device, and asserts that hold. */
#include <cassert>
#include <cstdlib>

struct node {
	struct node *next;
	unsigned value;
};

extern "C" __global__ void heap_lists(const unsigned *input, unsigned *output, unsigned count)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	if (index >= count)
		return;
	struct node *head = nullptr;
	for (unsigned i = 0; i < (input[index] & 7) + 1; i++) {
		struct node *fresh = (struct node *)malloc(sizeof(*fresh));
		if (fresh == nullptr) {
			output[index] = 0xdeadbeefu;
			return;
		}
		fresh->next = head;
		fresh->value = input[index] + i;
		head = fresh;
	}
	unsigned sum = 0;
	while (head != nullptr) {
		struct node *next = head->next;
		sum = sum * 31 + head->value;
		free(head);
		head = next;
	}
	output[index] = sum;
}

extern "C" __global__ void assert_holds(const int *input, int *output)
{
	int value = input[threadIdx.x];
	assert(value >= 0 && "inputs are not negative");
	output[threadIdx.x] = value * 2;
}
