#!/usr/bin/env python3
"""Our forward pass against transformers' in float32, far from the fixtures.

    pip install torch transformers safetensors gguf
    tests/transformers_agrees.py build/release/bin/model_logits
    tests/transformers_agrees.py build/release/bin/model_logits --gguf FILE.gguf

Without a file: random models of every family, with the settings the fixtures do not have (YaRN and
linear scaling, biases, explicit head sizes, windows, other normalisations of routing weights), saved
by transformers and read by us. With a GGUF file of the llama architecture: the same weights,
dequantised by gguf, in a transformers model. Exits with 1 when a logit differs by more than --within.
"""
import argparse
import random
import subprocess
import sys
import tempfile

import numpy
import torch
import transformers


def our_logits(program, model, prompts, vocab_size):
    lines = "\n".join(" ".join(map(str, prompt)) for prompt in prompts)
    done = subprocess.run([program, model], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    values = numpy.frombuffer(done.stdout, dtype=numpy.float32).reshape(-1, vocab_size)
    ends = numpy.cumsum([len(prompt) for prompt in prompts])[:-1]
    return numpy.split(values, ends)


def largest_difference(program, path, model, prompts):
    vocab_size = model.config.vocab_size
    ours = our_logits(program, path, prompts, vocab_size)
    largest = 0.0
    for prompt, logits in zip(prompts, ours):
        with torch.no_grad():
            theirs = model(torch.tensor([prompt])).logits[0].float().numpy()
        largest = max(largest, float(numpy.abs(logits - theirs).max()))
    return largest


def random_prompts(vocab_size, lengths, seed):
    generator = random.Random(seed)
    return [[generator.randrange(vocab_size) for _ in range(n)] for n in lengths]


SMALL = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, vocab_size=300, max_position_embeddings=512, bos_token_id=1,
             eos_token_id=2)


def variants():
    t = transformers
    yarn = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=128, rope_theta=1e4)
    yield "llama, yarn", t.LlamaForCausalLM, t.LlamaConfig(**SMALL, rope_parameters=yarn)
    yield "llama, yarn with its own factors", t.LlamaForCausalLM, t.LlamaConfig(
        **SMALL, rope_parameters=dict(yarn, attention_factor=1.3, beta_fast=16.0, beta_slow=2.0))
    yield "llama, linear", t.LlamaForCausalLM, t.LlamaConfig(
        **SMALL, rope_parameters=dict(rope_type="linear", factor=3.0, rope_theta=1e4))
    yield "llama, llama3", t.LlamaForCausalLM, t.LlamaConfig(
        **SMALL, rope_parameters=dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0,
                                      high_freq_factor=4.0, original_max_position_embeddings=64,
                                      rope_theta=5e5))
    yield "llama, biases, tied", t.LlamaForCausalLM, t.LlamaConfig(
        **SMALL, attention_bias=True, tie_word_embeddings=True)
    yield "llama, explicit heads, one kv head", t.LlamaForCausalLM, t.LlamaConfig(
        **dict(SMALL, num_key_value_heads=1), head_dim=24)
    yield "mistral, window 5", t.MistralForCausalLM, t.MistralConfig(**SMALL, sliding_window=5)
    yield "mistral, no window, head_dim 20", t.MistralForCausalLM, t.MistralConfig(
        **SMALL, sliding_window=None, head_dim=20)
    yield "mixtral, window 40, 5 experts, top 3", t.MixtralForCausalLM, t.MixtralConfig(
        **SMALL, sliding_window=40, num_local_experts=5, num_experts_per_tok=3)
    yield "mixtral, tied", t.MixtralForCausalLM, t.MixtralConfig(**SMALL, tie_word_embeddings=True)
    moe = dict(SMALL, intermediate_size=32)
    yield "olmoe, normalised", t.OlmoeForCausalLM, t.OlmoeConfig(
        **moe, num_experts=9, num_experts_per_tok=2, norm_topk_prob=True)
    yield "olmoe, all heads", t.OlmoeForCausalLM, t.OlmoeConfig(
        **dict(moe, num_key_value_heads=4), num_experts=8, num_experts_per_tok=8)
    yield "qwen3-moe, not normalised", t.Qwen3MoeForCausalLM, t.Qwen3MoeConfig(
        **SMALL, moe_intermediate_size=40, num_experts=10, num_experts_per_tok=3, head_dim=24,
        norm_topk_prob=False)
    yield "gpt2, wide", t.GPT2LMHeadModel, t.GPT2Config(
        n_embd=60, n_layer=3, n_head=5, n_positions=300, n_inner=77, vocab_size=300,
        bos_token_id=1, eos_token_id=2)
    yield "gpt2, head of its own", t.GPT2LMHeadModel, t.GPT2Config(
        n_embd=64, n_layer=2, n_head=4, n_positions=300, vocab_size=300, bos_token_id=1,
        eos_token_id=2, tie_word_embeddings=False)


def spread_weights(model):
    """Weights as large as trained ones, so that a mistake shows."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and "norm" not in name and "ln_" not in name:
                parameter.normal_(0, 0.5)
            elif parameter.dim() == 1 and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)
            elif parameter.dim() > 1:
                parameter.normal_(0, 1.5 / parameter.shape[-1] ** 0.5)


def compare_families(program, within):
    worst = 0.0
    for name, kind, config in variants():
        torch.manual_seed(7)
        config._attn_implementation = "eager"
        model = kind(config).float().eval()
        spread_weights(model)
        prompts = random_prompts(config.vocab_size, (1, 9, 200), 3)
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            difference = largest_difference(program, folder, model, prompts)
        print(f"{name}: {difference:.1e}", flush=True)
        worst = max(worst, difference)
    return worst <= within


def dequantised_llama(path):
    import gguf
    reader = gguf.GGUFReader(path)

    def number(key, default=None):
        field = reader.fields.get(f"llama.{key}")
        return default if field is None else field.contents()

    n_heads, n_kv_heads = number("attention.head_count"), number("attention.head_count_kv")
    weights = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
               for tensor in reader.tensors}
    config = transformers.LlamaConfig(
        hidden_size=number("embedding_length"), intermediate_size=number("feed_forward_length"),
        num_hidden_layers=number("block_count"), num_attention_heads=n_heads,
        num_key_value_heads=n_kv_heads, vocab_size=weights["token_embd.weight"].shape[0],
        max_position_embeddings=number("context_length"),
        rms_norm_eps=number("attention.layer_norm_rms_epsilon"),
        rope_parameters=dict(rope_type="default", rope_theta=number("rope.freq_base", 10000.0)),
        tie_word_embeddings="output.weight" not in weights)
    config._attn_implementation = "eager"
    model = transformers.LlamaForCausalLM(config).float().eval()

    def halves(rows, heads):  # from pairs (2d, 2d + 1) to halves (d, d + size / 2)
        return rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)

    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
             "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
             "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    state = {"model.embed_tokens.weight": weights["token_embd.weight"],
             "model.norm.weight": weights["output_norm.weight"],
             "lm_head.weight": weights.get("output.weight", weights["token_embd.weight"])}
    for layer in range(config.num_hidden_layers):
        for ours, theirs in names.items():
            values = weights[f"blk.{layer}.{ours}.weight"]
            if ours in ("attn_q", "attn_k"):
                values = halves(values, n_heads if ours == "attn_q" else n_kv_heads)
            state[f"model.layers.{layer}.{theirs}.weight"] = values
    model.load_state_dict({name: torch.from_numpy(numpy.array(values))
                           for name, values in state.items()})
    return model


def compare_gguf(program, path, within):
    model = dequantised_llama(path)
    prompts = random_prompts(model.config.vocab_size, (1, 20, 300), 5)
    difference = largest_difference(program, path, model, prompts)
    print(f"{path}: logits of {sum(map(len, prompts))} tokens differ by at most {difference:.1e}")
    return difference <= within


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--gguf")
    parser.add_argument("--within", type=float, default=1e-3)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    good = (compare_gguf(arguments.program, arguments.gguf, arguments.within) if arguments.gguf
            else compare_families(arguments.program, arguments.within))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
