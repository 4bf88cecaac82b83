#!/usr/bin/env python3
# The budget of every kernel: registers, spills and static shared memory, as ptxas says.
"""Holds every kernel to its line in kernel_budget: registers, spills, static shared bytes.

Compiles each .cu for sm_80 and sm_90a and reads `ptxas -v`. Fails when a number grew, when a
kernel spills or has no line, when a line has no kernel. Skips (77) without nvcc.
"""
import argparse
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUDGET = pathlib.Path(__file__).with_name("kernel_budget")
FLAGS = ["-std=c++20", "-O3", "-fmad=false", "-Xcompiler", "-ffp-contract=off", "-Xptxas", "-v"]
ENTRY = re.compile(r"Compiling entry function '(\S+)' for")
SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


def find_nvcc():
    beside = pathlib.Path("/usr/local/cuda/bin/nvcc")
    return shutil.which("nvcc") or (str(beside) if beside.exists() else None)


def sources():
    found = sorted(ROOT.glob("kernels/*/*.cu")) + sorted(ROOT.glob("tests/simt/kernels/*.cu"))
    for path in found:
        for arch in ("sm_80", "sm_90a"):
            if arch == "sm_90a" or not path.stem.endswith("_sm90"):
                yield path, arch


def compile_one(nvcc, ccbin, path, arch):
    with tempfile.TemporaryDirectory() as folder:
        command = [nvcc, *FLAGS, f"-arch={arch}", "-cubin", "-o", f"{folder}/out.cubin",
                   "-I", str(ROOT), "-I", str(ROOT / "include"), str(path)]
        if ccbin:
            command += ["-ccbin", ccbin]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{path}: nvcc failed for {arch}\n{done.stderr}")
    return done.stderr


def demangle(names):
    done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                          check=True)
    return [line.replace("(anonymous namespace)::", "").replace("void ", "", 1)
            for line in done.stdout.splitlines()]


def parse(text):
    """{mangled kernel: (registers, spill bytes, static shared bytes)}"""
    kernels, name, spills = {}, None, 0
    for line in text.splitlines():
        if match := ENTRY.search(line):
            name, spills = match.group(1), 0
        elif match := SPILLS.search(line):
            spills = int(match.group(1)) + int(match.group(2))
        elif (match := USED.search(line)) and name:
            shared = SHARED.search(line)
            kernels[name] = (int(match.group(1)), spills, int(shared.group(1)) if shared else 0)
            name = None
    return kernels


def measure(nvcc, ccbin):
    jobs = list(sources())
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(lambda job: compile_one(nvcc, ccbin, *job), jobs))
    measured = {}
    for (path, arch), text in zip(jobs, texts):
        kernels = parse(text)
        for name, numbers in zip(demangle(list(kernels)), kernels.values()):
            short = name.split("(", 1)[0] if "<" not in name else name.rsplit("(", 1)[0]
            measured[f"{arch} {path.relative_to(ROOT)} {short}"] = numbers
    return measured


def read_budget():
    budget = {}
    for line in BUDGET.read_text().splitlines() if BUDGET.exists() else []:
        if line and not line.startswith("#"):
            registers, spills, shared, key = line.split(None, 3)
            budget[key] = (int(registers), int(spills), int(shared))
    return budget


def write_budget(measured):
    lines = ["# Written by kernel_budget.py --update, held by the test kernel_budget:",
             "# registers, spilled bytes, static shared bytes, architecture, file, kernel."]
    lines += [f"{r:3} {s} {b} {key}" for key, (r, s, b) in sorted(measured.items())]
    BUDGET.write_text("\n".join(lines) + "\n")


def complaints(measured, budget):
    for key, numbers in sorted(measured.items()):
        if numbers[1]:
            yield f"{key}: spills {numbers[1]} bytes"
        if key not in budget:
            yield f"{key}: no line in kernel_budget (run kernel_budget.py --update)"
            continue
        for what, now, before in zip(("registers", "spilled bytes", "shared bytes"), numbers,
                                     budget[key]):
            if now > before:
                yield f"{key}: {now} {what}, the budget is {before}"
    for key in sorted(set(budget) - set(measured)):
        yield f"{key}: a line in kernel_budget without a kernel"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="rewrite kernel_budget")
    parser.add_argument("--ccbin", help="host compiler for nvcc")
    options = parser.parse_args()
    nvcc = find_nvcc()
    if not nvcc:
        print("skipped: nvcc was not found, so kernels cannot be compiled for a GPU")
        return 77
    ccbin = options.ccbin if options.ccbin and "clang" not in options.ccbin else None
    measured = measure(nvcc, ccbin)
    if options.update:
        write_budget(measured)
        return 0
    found = list(complaints(measured, read_budget()))
    print("\n".join(found) or f"{len(measured)} kernels within their budgets")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
