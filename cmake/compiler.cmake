# Language, warnings, and the flags that the numerics rest on (docs/numerics.md).
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Sanitizer builds stay near the source.
if(FORNAX_SANITIZE)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1 -DNDEBUG")
else()
  set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
endif()

set(FORNAX_NUMERIC_FLAGS -ffp-contract=off -fno-trapping-math)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND FORNAX_NUMERIC_FLAGS -march=x86-64-v3 -DHWY_DISABLE_PCLMUL_AES)
  if(FORNAX_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 breaks off (output_6924 in sse.md) on AVX-512 code with TSan.
    list(APPEND FORNAX_NUMERIC_FLAGS
      "-DHWY_DISABLED_TARGETS=(HWY_AVX3|HWY_AVX3_DL)")
  endif()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  list(APPEND FORNAX_NUMERIC_FLAGS
    "-DHWY_DISABLED_TARGETS=(HWY_SVE|HWY_SVE2|HWY_SVE_256|HWY_SVE2_128)")
endif()
set(FORNAX_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-unknown-pragmas)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND FORNAX_WARNINGS -Wno-restrict)  # false reports on "x" + std::string
endif()
if(FORNAX_SANITIZE)
  list(APPEND FORNAX_WARNINGS -Wno-maybe-uninitialized)  # false reports inside std::function
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    list(APPEND FORNAX_WARNINGS -Wno-unknown-warning-option)
  endif()
endif()
if(FORNAX_WERROR)
  list(APPEND FORNAX_WARNINGS -Werror)
endif()
set(FORNAX_SANITIZE_FLAGS "")
if(FORNAX_SANITIZE STREQUAL "address")
  set(FORNAX_SANITIZE_FLAGS -fsanitize=address,undefined -fno-sanitize-recover=undefined
    -fno-omit-frame-pointer -g1 -D_GLIBCXX_ASSERTIONS)
elseif(FORNAX_SANITIZE STREQUAL "thread")
  set(FORNAX_SANITIZE_FLAGS -fsanitize=thread -g1 -D_GLIBCXX_ASSERTIONS)
elseif(FORNAX_SANITIZE)
  message(FATAL_ERROR "FORNAX_SANITIZE is empty, address or thread; got '${FORNAX_SANITIZE}'")
endif()

# fornax_compile_options(target): what every target of this repository is compiled with.
function(fornax_compile_options target)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:${FORNAX_NUMERIC_FLAGS} ${FORNAX_WARNINGS} ${FORNAX_HARDENING_FLAGS}>
    ${FORNAX_SANITIZE_FLAGS})
  target_link_options(${target} PRIVATE ${FORNAX_SANITIZE_FLAGS} ${FORNAX_HARDENING_LINK_FLAGS})
endfunction()
