# Every option of the build, each with one line of help.
set(FORNAX_CUDA AUTO CACHE STRING
  "CUDA module: AUTO (when a toolkit is found), ON (fail without), OFF")
set_property(CACHE FORNAX_CUDA PROPERTY STRINGS AUTO ON OFF)
set(FORNAX_CUDA_ARCHITECTURES "80-real;90a-real" CACHE STRING "GPU architectures to compile for")
option(FORNAX_BUILD_TESTS "Build the tests" ON)
option(FORNAX_BUILD_BENCH
  "Build the benchmarks below tests/bench (oneDNN, cublasLt, cuDNN are compared where found)" OFF)
option(FORNAX_BUILD_SAMPLES "Build the samples" ON)
option(FORNAX_BUILD_SIMT "Build the simt machine, which runs the CUDA kernels on the CPU" ON)
set(FORNAX_SANITIZE "" CACHE STRING "empty, address (with undefined) or thread")
option(FORNAX_HARDENING "Hardening flags in release builds" ON)
option(FORNAX_WERROR "Treat warnings as errors" ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
