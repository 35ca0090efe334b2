#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long PyTorch takes to be imported and to do things for the first time in a process, in lines "time NAME SECONDS"."""

import time

BEGUN = time.monotonic()
import torch  # noqa: E402  (its import is timed)


class Watch:
    """Tells what each part has taken, and all of them."""

    def __init__(self, begun):
        self.begun = self.last = begun

    def tell(self, name):
        torch.cuda.synchronize()
        now = time.monotonic()
        print(f'time {name} {now - self.last:.4f}', flush=True)
        self.last = now

    def tell_all(self):
        print(f'time all {self.last - self.begun:.4f}', flush=True)


def main():
    watch = Watch(BEGUN)
    watch.tell('import_and_context')
    matrix = torch.randn(512, 512, device='cuda')
    (matrix @ matrix).sum().item()
    watch.tell('product')
    torch.nn.Conv2d(3, 64, 7).cuda()(torch.randn(8, 3, 64, 64, device='cuda')).sum().item()
    watch.tell('convolution')
    query = torch.randn(2, 8, 128, 64, device='cuda', dtype=torch.float16)
    torch.nn.functional.scaled_dot_product_attention(query, query, query).sum().item()
    watch.tell('attention')
    torch.fft.fft(matrix).abs().sum().item()
    torch.linalg.svd(matrix[:64, :64])[1].sum().item()
    torch.sort(matrix.flatten())[0][0].item()
    watch.tell('fft_svd_sort')
    watch.tell_all()


if __name__ == '__main__':
    main()
