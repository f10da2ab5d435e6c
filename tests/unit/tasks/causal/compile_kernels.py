"""Compile the GPU's kernels for Hopper, which needs no GPU, and print what each takes as JSON."""

import json
import re
import subprocess
from pathlib import Path

import triton
from triton.backends import nvidia
from triton.backends.compiler import GPUTarget

from tasks.causal.kernels import gpu_arrays
from tasks.causal.kernels import triton_kernels as kernels

POINTERS = {
    "library_B": "*i32", "row_BR": "*i32", "position_P": "*i32", "dimension_S": "*i32",
    "count_S": "*i32", "key_SBRNM": "*i64", "row_LRM": "*i32", "bits_LP": "*i64",
    "row_LDKR": "*i32", "found_LDR": "*i32", "row_BKR": "*i32", "row_R": "*i32",
    "sum_BISJ": "*fp64", "series_LP": "*fp32", "penalty_BP": "*fp32", "square_LRM": "*fp32",
    "square_LDKR": "*fp32", "weight_BKR": "*fp32", "tile_IPJ": "*fp32",
}  # fmt: skip


def describe(kernel, constants, pointers=POINTERS, **options):
    """Compile one kernel, all pointers aligned as torch aligns them."""
    signature = {
        name: "constexpr" if name in constants else pointers.get(name, "i32")
        for name in kernel.arg_names
    }
    at = {name: (place,) for place, name in enumerate(kernel.arg_names)}
    aligned = {at[n]: [["tt.divisibility", 16]] for n in pointers if n in at}
    source = triton.compiler.ASTSource(
        kernel, signature, {at[name]: value for name, value in constants.items()}, aligned
    )
    ptx = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]
    assembler = Path(nvidia.__file__).parent / "bin" / "ptxas"
    told = subprocess.run(
        [assembler, "-v", "--gpu-name", "sm_90a", "-o", "/dev/null", "/dev/stdin"],
        input=ptx, capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    found = {
        "kernel": kernel.__name__,
        "blocks": {**constants, **options},
        "registers": int(re.findall(r"Used (\d+) registers", told)[0]),
        "spilled": sum(map(int, re.findall(r"(\d+) bytes spill", told))),
        "contracted": "fma.rn.f32" in ptx,
        "loads_of_16_bytes": len(re.findall(r"ld\.global\.v4\.b32", ptx)),
    }
    print(json.dumps(found))  # noqa: T201


for config in gpu_arrays._search.configs:
    blocks = {**config.kwargs, "PANEL": gpu_arrays.PANEL, "LIST": 32}
    describe(kernels.search, blocks, num_warps=config.num_warps, enable_fp_fusion=False)
describe(kernels.walk, {"QUERIES": 4, "LIST": 256}, num_warps=4)
for config in gpu_arrays._add_sums.configs:
    describe(kernels.add_sums, {**config.kwargs, "LANES": 64}, num_warps=config.num_warps)
describe(
    kernels.add_sums, {"ROWS": 64, "LANES": 64}, {**POINTERS, "tile_IPJ": "*fp16"}, num_warps=8
)
