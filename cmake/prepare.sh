# Sourced by samples/run and tests/run: installs missing packages, configures and builds a tree.
# Both are silent when there is nothing to do, and use no network then.

# prepare_packages GROUP...: installs what cmake/packages lists for these groups and dpkg lacks.
prepare_packages() {
  local wanted missing=() package
  wanted=$(awk -v groups=" $* " '!/^#/ && NF == 2 && index(groups, " " $1 " ") {print $2}' \
    "$root/cmake/packages")
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    prepare_check_tools "$wanted"
    return 0
  fi
  for package in $wanted; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  echo "installing: ${missing[*]}" >&2
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || {
      echo "these packages are missing; as root: apt-get install ${missing[*]}" >&2
      return 1
    }
    as_root=(sudo)
  fi
  local log
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -20 "$log" >&2
    echo "could not install: ${missing[*]}" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

# prepare_check_tools PACKAGES: on a system without apt, says what to install if a tool is missing.
prepare_check_tools() {
  local tool absent=()
  for tool in cmake ninja c++; do
    command -v "$tool" >/dev/null || absent+=("$tool")
  done
  ((${#absent[@]})) || return 0
  echo "missing: ${absent[*]}. This script installs packages on Debian and Ubuntu only." >&2
  echo "Install what your system calls:" $1 >&2
  return 1
}

# prepare_configure TREE PRESET [cmake options...]: configures build/TREE; speaks on failure only.
prepare_configure() {
  local tree=$root/build/$1 preset=$2 launcher=()
  shift 2
  mkdir -p "$tree"
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  (cd "$root" && prepare_quietly "$tree/configure.log" \
    cmake --preset "$preset" "${launcher[@]}" "$@")
}

# prepare_build TREE [targets...]: builds in build/TREE; shows the end of the log on failure.
prepare_build() {
  local tree=$root/build/$1
  shift
  prepare_quietly "$tree/build.log" cmake --build "$tree" -j "$(nproc)" ${1:+--target "$@"}
}

# prepare_cuda: what FORNAX_CUDA should be here; kernels for an absent GPU take minutes to compile.
prepare_cuda() {
  if compgen -G '/dev/nvidia[0-9]*' >/dev/null; then echo AUTO; else echo OFF; fi
}

# prepare_quietly LOG COMMAND...: runs a command with its output in LOG, shown only when it fails.
prepare_quietly() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 </dev/null && return 0
  grep -nE "error|Error|FAILED|undefined reference" "$log" | head -20 >&2 || true
  tail -20 "$log" >&2
  echo "failed: $* (the whole log: $log)" >&2
  return 1
}
