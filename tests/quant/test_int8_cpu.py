"""Int8 for the CPU that will run the file: what a CPU is, which one is taken, and what that changes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from helpers.messages import like, says
from optimize.config import CONF
from optimize.device.device import FOLDER, known, load
from optimize.errors import InputError
from optimize.host import cpu
from optimize.identity import identity
from optimize.input_size import square
from optimize.int8_cpu import AMX, AVX2, DOT, KINDS, NEON, UNKNOWN, VNNI, Int8Cpu, kind_of
from optimize.prepare import prepare
from optimize.pruner.latency import samples
from optimize.pruner.latency.samples import LatencySamples, LayerShape, NetworkTime
from optimize.quant.cpu import chosen_cpu, describe_cpu
from optimize.runtime.litert import LiteRT
from optimize.runtime.ncnn import Ncnn
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.runtime.tensorrt import TensorRT

ZEN = "fpu sse2 ssse3 fma sse4_1 sse4_2 avx f16c sse4a avx2 avx512f avx512dq avx512ifma avx512cd avx512bw avx512vl"
FLAGS = {  # the vector instructions of /proc/cpuinfo
    "Xeon Platinum 8481C (Sapphire Rapids)": (
        f"{ZEN} avx_vnni avx512_bf16 avx512vbmi avx512_vbmi2 avx512_vnni avx512_fp16 amx_bf16 amx_tile amx_int8",
        AMX,
    ),
    "Xeon Gold 6248 (Cascade Lake)": (f"{ZEN} avx512_vnni", VNNI),
    "Xeon Gold 6148 (Skylake)": (ZEN.replace("avx512ifma ", ""), AVX2),
    "EPYC 9654 (Zen 4)": (f"{ZEN} avx512_bf16 avx512vbmi avx512_vbmi2 avx512_vnni avx512_bitalg", VNNI),
    "EPYC 9655 (Zen 5)": (f"{ZEN} avx_vnni avx512_bf16 avx512vbmi avx512_vbmi2 avx512_vnni", VNNI),
    "EPYC 7763 (Zen 3)": ("fma sse4_1 sse4_2 avx f16c sse4a avx2", AVX2),
    "Core i7-1165G7": ("fma sse4_1 sse4_2 avx f16c avx2 avx512f avx512dq avx512ifma avx512vbmi avx512_vnni", VNNI),
    "N100": ("fma sse4_1 sse4_2 avx f16c avx2 avx_vnni", VNNI),
    "Core i7-4770 (Haswell)": ("fma sse4_1 sse4_2 avx f16c avx2", AVX2),
    "Atom E3845": ("sse4_1 sse4_2", AVX2),
    "Raspberry Pi 4": ("fp asimd evtstrm crc32 cpuid", NEON),
    "Raspberry Pi 5": (
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        DOT,
    ),
    "Apple M2 (Asahi)": ("fp asimd aes atomics fphp asimdhp asimdrdm asimddp sha512 asimdfhm i8mm bf16", DOT),
    "Jetson Orin Nano": ("fp asimd evtstrm aes crc32 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp uscat", DOT),
    "POWER10": ("", UNKNOWN),
}
MIXED, SYMMETRIC = "mixed, ends float, 8 bits", "performance, ends float, 8 bits"
UNSIGNED, SIGNED = "u8s8, first layer float", "s8s8, first layer float"
EXTREMES = "u8s8, first layer float, extremes"
# Of every runtime the default and the second, if any, for AMX, VNNI, AVX2, ARM with and without dot product, and an
# unknown CPU.
FIRST = {
    OnnxRuntime(): ((UNSIGNED, EXTREMES),) * 3 + ((SIGNED, EXTREMES),) * 2 + ((UNSIGNED, EXTREMES),),
    OpenVino(): ((SYMMETRIC, MIXED), *((MIXED, SYMMETRIC),) * 5),
    Ncnn(): (("s8s8", "s8s8, extremes"),) * 6,
    LiteRT(): (("a8w8", "a8w8, extremes"),) * 6,
    TensorRT(): (("s8s8, explicit",),) * 6,
}


@pytest.mark.parametrize("name", FLAGS)
def test_a_cpu_is_known_by_its_instructions(name, monkeypatch):
    listed, kind = FLAGS[name]
    assert kind_of(listed.split()) == kind
    key = "Features" if kind in (DOT, NEON) else "flags"
    monkeypatch.setattr(cpu, "_cpuinfo", lambda: {key: listed, "model name": name} if listed else {"cpu": name})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "ppc64le"}, raising=False)
    assert cpu.int8_cpu().kind == kind


TOLD_BY_TORCH = {  # on Windows and macOS
    "Alder Lake": ({"sse4_1": True, "avx2": True, "avx512_vnni": False, "avx_vnni": True}, VNNI),
    "Haswell": ({"sse4_1": True, "avx2": True, "avx512_vnni": False, "amx_int8": False, "l2_cache_size": 262144}, AVX2),
    "Skylake": ({"avx2": True, "avx512_f": True, "avx512_vnni": False}, AVX2),
    "Sapphire Rapids": ({"avx2": True, "avx512_vnni": True, "amx_int8": True}, AMX),
    "Apple M2": ({"architecture": "aarch64", "neon": True, "dot": True, "i8mm": True}, DOT),
    "Snapdragon 835": ({"neon": True, "dot": False, "i8mm": False}, NEON),
}


@pytest.mark.parametrize("name", TOLD_BY_TORCH)
def test_where_the_system_lists_no_instructions_torch_tells(name, monkeypatch):
    capabilities, kind = TOLD_BY_TORCH[name]
    monkeypatch.setattr(cpu, "_cpuinfo", dict)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert cpu.int8_cpu().kind == kind
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)  # an older torch
    assert (cpu.flags(), cpu.int8_cpu().kind) == ([], UNKNOWN)


@pytest.mark.parametrize("runtime", FIRST, ids=lambda runtime: runtime.info.name)
def test_the_first_two_recipes_follow_from_the_cpu(runtime):
    by_kind = {kind: runtime.int8_recipes(Int8Cpu(kind)) for kind in KINDS}
    assert tuple(by_kind) == (AMX, VNNI, AVX2, DOT, NEON, UNKNOWN)
    assert tuple(tuple(recipe.name for recipe in recipes[:2]) for recipes in by_kind.values()) == FIRST[runtime]
    for recipes in by_kind.values():  # a search tries all of them everywhere
        names = [recipe.name for recipe in recipes]
        assert sorted(names) == sorted({recipe.name for recipe in by_kind[VNNI]})


def table(path: Path, flags: tuple[str, ...]) -> Path:
    network = NetworkTime({"model.0.conv": (16, 3)}, 1.0)
    content = LatencySamples(
        architecture="0" * 16,
        imgsz=square(64),
        runtime="onnxruntime",
        version="1",
        precision="int8",
        recipe="u8s8",
        cpu="Raspberry Pi 5 Model B",
        threads=4,
        noise=0.01,
        layers={"model.0.conv": LayerShape(1.0, 1.0)},
        networks=(network, network),
        flags=flags,
    )
    samples.write(content, path)
    assert samples.read(path) == content
    return path


def test_the_table_names_the_cpu_before_the_profile_and_that_before_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr("optimize.quant.cpu.int8_cpu", lambda: Int8Cpu(VNNI, "a host"))
    brought = table(tmp_path / "pi5.json", ("asimd", "asimddp"))
    assert chosen_cpu(brought, load("intel-n100")) == Int8Cpu(DOT, "Raspberry Pi 5 Model B", f"pruner.table={brought}")
    assert chosen_cpu(None, load("raspberry-pi-4")) == Int8Cpu(NEON, "Raspberry Pi 4", "the profile of Raspberry Pi 4")
    assert chosen_cpu(None, load("intel-n100")).name == "Intel(R) N100"
    assert chosen_cpu(None, None) == Int8Cpu(VNNI, "a host", "this machine")

    bare = chosen_cpu(None, replace(load("raspberry-pi-4"), int8=None))
    assert (bare.kind, bare.name) == (VNNI, "a host")
    assert says(describe_cpu(bare), "this machine, since the profile of Raspberry Pi 4 has no `int8`.")
    old = table(tmp_path / "old.json", ())
    content = json.loads(old.read_text())
    del content["flags"]  # as versions before wrote them
    old.write_text(json.dumps(content))
    assert chosen_cpu(old, load("intel-n100")) == Int8Cpu(UNKNOWN, "Raspberry Pi 5 Model B", f"pruner.table={old}")
    assert says(
        describe_cpu(chosen_cpu(old, None)), "unknown instructions: Raspberry Pi 5 ... times ... of this machine"
    )


def test_every_shipped_profile_of_a_cpu_says_how_it_computes_in_int8():
    kinds = {name: load(name).int8 for name in known()}
    assert kinds == {
        "hailo-8": None,
        "intel-i7-1165g7": VNNI,
        "intel-n100": VNNI,
        "jetson-nano": NEON,
        "jetson-orin-nano": DOT,
        "raspberry-pi-4": NEON,
        "raspberry-pi-5": DOT,
        "rockchip-rk3588": DOT,
    }


def test_a_profile_with_another_kind_is_told(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text((FOLDER / "raspberry-pi-5.yaml").read_text().replace("int8: dot\n", "int8: fast\n"))
    with pytest.raises(InputError, match=like("has int8=fast; it is one of amx, vnni, avx2, dot, neon, unknown")):
        load(str(path))


def prepared(*words: str):
    with initialize_config_dir(str(CONF.resolve()), version_base=None):
        return prepare(compose("config", list(words)))


@pytest.mark.command
def test_a_run_makes_its_int8_files_for_the_device_and_says_so(dataset, checkpoint, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    given = f"model={checkpoint}", f"data={dataset}", "runtime=[onnxruntime]", "quant=int8"
    stages, remarks = {}, {}
    for name, words in {
        "here": (),
        "pi": ("device_profile=raspberry-pi-4",),
        "n100": ("device_profile=intel-n100",),
    }.items():
        monkeypatch.setattr("optimize.quant.cpu.int8_cpu", lambda: Int8Cpu(VNNI, "a host"))
        plan = prepared(*given, *words)
        stages[name], remarks[name] = plan.precisions[-1], " ".join(plan.provenance.remarks)
    assert [stage.cpu.kind for stage in stages.values()] == [VNNI, NEON, VNNI]
    keys = {name: identity(stage) for name, stage in stages.items()}
    assert keys["here"] == keys["n100"] != keys["pi"]  # two CPUs of a kind share their files
    assert says(remarks["here"], "Int8 files are made for a CPU with 8-bit dot products (VNNI): a host, this machine.")
    assert says(remarks["pi"], "no 8-bit dot product (ARM): Raspberry Pi 4 ... times ... gains less speed")
    assert not says(remarks["here"], "gains less speed")
    none = prepared(*given[:-1], "quant=none").provenance.remarks
    assert not any("Int8 files" in remark for remark in none)
