# SPDX-License-Identifier: Apache-2.0
"""GPT-2 (124M, transformers, weights from a seed): greedy generation, token by token; the tokens must be the same."""

import os
import time

os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
import torch

try:
    from transformers import GPT2Config, GPT2LMHeadModel
except ImportError:
    raise SystemExit(77)

from report import result

torch.manual_seed(1)
model = GPT2LMHeadModel(GPT2Config()).cuda().eval()
prompt = torch.arange(100, 116, device='cuda').unsqueeze(0)
with torch.no_grad():
    rates = []
    for _ in range(4):
        started = time.monotonic()
        tokens = model.generate(prompt, max_new_tokens=64, do_sample=False, pad_token_id=0,
                                attention_mask=torch.ones_like(prompt))
        torch.cuda.synchronize()
        rates.append((time.monotonic() - started) / 64)
result('tokens', '-'.join(map(str, tokens[0].tolist())))
print(f'time gpt2_token {sorted(rates[1:])[1]:.6f}')
