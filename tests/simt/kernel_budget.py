#!/usr/bin/env python3
# The budget of every kernel: registers, spills and static shared memory, as ptxas says; how many
# kernels a file makes, and who reads and writes memory.
"""Holds every kernel to its line in kernel_budget, every .cu file to its line in build_budget.

Compiles each .cu for sm_80 and sm_90a and reads `ptxas -v`. Fails when a number grew, when a
kernel spills or has no line, when a line has no kernel, when a file makes another number of
kernels than build_budget says (its seconds are a record), and when a load or store of global or
shared memory in a kernel of the library comes from a line outside kernels/device: only what passes
the named functions is counted by the simt machine. Skips (77) without nvcc.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUDGET = pathlib.Path(__file__).with_name("kernel_budget")
BUILD_BUDGET = pathlib.Path(__file__).with_name("build_budget")
PLANTED = pathlib.Path(__file__).with_name("planted") / "raw_access.cu"
FLAGS = ["-std=c++20", "-O3", "-fmad=false", "-Xcompiler", "-ffp-contract=off", "-lineinfo"]
ENTRY = re.compile(r"Compiling entry function '(\S+)' for")
SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
FILE = re.compile(r'\s*\.file\s+(\d+)\s+"([^"]+)"')
LINE = re.compile(r"\s*\.loc\s+(\d+)\s+(\d+)(?:.*inlined_at\s+(\d+)\s+(\d+))?")
# Global, shared, or of no named space. Parameters, constants and spilled arrays are no traffic.
ACCESS = re.compile(r"\s*(?:@!?%p\d+\s+)?(?:ld|st|atom|red)\."
                    r"(?!(?:\w+\.)*(?:param|const|local)\b)")


def find_nvcc():
    beside = pathlib.Path("/usr/local/cuda/bin/nvcc")
    return shutil.which("nvcc") or (str(beside) if beside.exists() else None)


def sources():
    found = sorted(ROOT.glob("kernels/*/*.cu")) + sorted(ROOT.glob("tests/simt/kernels/*.cu"))
    for path in found:
        for arch in ("sm_80", "sm_90a"):
            if arch == "sm_90a" or not path.stem.endswith("_sm90"):
                yield path, arch


class Compiled:
    """What nvcc and ptxas say of one file for one architecture."""

    def __init__(self, nvcc, ccbin, path, arch):
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            ptx = f"{folder}/out.ptx"
            command = [nvcc, *FLAGS, f"-arch={arch}", "-ptx", "-o", ptx, "-I", str(ROOT), "-I",
                       str(ROOT / "include"), str(path)]
            run(command + (["-ccbin", ccbin] if ccbin else []), path, arch)
            assembler = str(pathlib.Path(nvcc).with_name("ptxas"))
            self.said = run([assembler, "-v", f"-arch={arch}", "-o", f"{folder}/out.cubin", ptx],
                            path, arch)
            self.ptx = pathlib.Path(ptx).read_text()
        self.seconds = time.monotonic() - begin


def run(command, path, arch):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{path}: {command[0]} failed for {arch}\n{done.stderr}")
    return done.stderr


def raw_accesses(ptx):
    """[(file, line)] of loads and stores that no function of kernels/device makes. What a header of
    CUDA does counts where it was inlined."""
    files = {match[1]: pathlib.Path(match[2]).resolve()
             for match in map(FILE.match, ptx.splitlines()) if match}
    raw, file, line = set(), ROOT, 0
    for text in ptx.splitlines():
        if match := LINE.match(text):
            file, line = files[match[1]], int(match[2])
            if ROOT not in file.parents and match[3]:
                file, line = files[match[3]], int(match[4])
        elif ACCESS.match(text) and ROOT / "kernels" / "device" not in file.parents:
            raw.add((os.path.relpath(file, ROOT), line))
    return sorted(raw)


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
    """The kernels' numbers, {file: (kernels, seconds)} and the raw accesses."""
    jobs = list(sources())
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        compiled = list(pool.map(lambda job: Compiled(nvcc, ccbin, *job), jobs))
    measured, build, raw = {}, {}, set()
    for (path, arch), one in zip(jobs, compiled):
        kernels, file = parse(one.said), str(path.relative_to(ROOT))
        for name, numbers in zip(demangle(list(kernels)), kernels.values()):
            short = name.split("(", 1)[0] if "<" not in name else name.rsplit("(", 1)[0]
            measured[f"{arch} {file} {short}"] = numbers
        count, seconds = build.get(file, (len(kernels), 0))
        if count != len(kernels):
            sys.exit(f"{file}: {count} kernels for one architecture, {len(kernels)} for another")
        build[file] = (count, seconds + one.seconds)
        if file.startswith("kernels/"):
            raw.update(raw_accesses(one.ptx))
    return measured, build, sorted(raw)


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


def read_build_budget():
    lines = BUILD_BUDGET.read_text().splitlines() if BUILD_BUDGET.exists() else []
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return {file: int(kernels) for kernels, _, file in words}


def write_build_budget(build):
    lines = ["# Written by kernel_budget.py --update: kernels of a file for one architecture (held",
             "# by the test kernel_budget), seconds of nvcc and ptxas for all of them (a record)."]
    lines += [f"{kernels:3} {seconds:5.1f} {file}"
              for file, (kernels, seconds) in sorted(build.items())]
    BUILD_BUDGET.write_text("\n".join(lines) + "\n")


def build_complaints(build, budget):
    for file, (kernels, _) in sorted(build.items()):
        if file not in budget:
            yield f"{file}: no line in build_budget (run kernel_budget.py --update)"
        elif kernels != budget[file]:
            yield f"{file}: makes {kernels} kernels, build_budget says {budget[file]}"
    for file in sorted(set(budget) - set(build)):
        yield f"{file}: a line in build_budget without a file"


def planted_complaints(nvcc, ccbin):
    """The lines marked RAW in the planted file are the raw accesses that must be found."""
    lines = PLANTED.read_text().splitlines()
    file = str(PLANTED.relative_to(ROOT))
    marked = [(file, number) for number, line in enumerate(lines, 1) if line.endswith("// RAW")]
    found = raw_accesses(Compiled(nvcc, ccbin, PLANTED, "sm_80").ptx)
    if found != marked:
        yield f"planted raw accesses at {marked}, found {found}"


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
    measured, build, raw = measure(nvcc, ccbin)
    if options.update:
        write_budget(measured)
        write_build_budget(build)
        return 0
    found = list(complaints(measured, read_budget()))
    found += build_complaints(build, read_build_budget())
    found += [f"{file}:{line}: reads or writes memory without a function of kernels/device"
              for file, line in raw]
    found += planted_complaints(nvcc, ccbin)
    print("\n".join(found) or f"{len(measured)} kernels within their budgets")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
