# The kernels by nvcc: every kernels/*/*.cu for FORNAX_CUDA_ARCHITECTURES, *_sm90.cu for 90a only.
set(FORNAX_CUDA_FLAGS -std=c++20 -fmad=false "SHELL:-Werror all-warnings"
  "SHELL:-Xptxas -v,-warn-spills" "SHELL:-Xcompiler -ffp-contract=off,-Wall,-Wextra")

# fornax_cuda_objects(target sources...): object libraries `target` and, where a source's name ends
# in _sm90, `target`_sm90. A directory that compiles the same files as C++ must be another one.
function(fornax_cuda_objects target)
  set(sm90 ${ARGN})
  set(all ${ARGN})
  list(FILTER sm90 INCLUDE REGEX "_sm90\\.cu$")
  list(FILTER all EXCLUDE REGEX "_sm90\\.cu$")
  if(all)
    fornax_cuda_object_library(${target} "${FORNAX_CUDA_ARCHITECTURES}" ${all})
  endif()
  if(sm90 AND FORNAX_CUDA_ARCHITECTURES MATCHES "90a")
    fornax_cuda_object_library(${target}_sm90 90a-real ${sm90})
  endif()
endfunction()

function(fornax_cuda_object_library target architectures)
  add_library(${target} OBJECT ${ARGN})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
  # CMake 3.25 knows no C++20 flag of nvcc: a required standard is an error, one that is not
  # required adds nothing.
  set_target_properties(${target} PROPERTIES CUDA_ARCHITECTURES "${architectures}"
    CUDA_STANDARD_REQUIRED OFF CUDA_VISIBILITY_PRESET hidden)
  target_compile_options(${target} PRIVATE ${FORNAX_CUDA_FLAGS})
endfunction()

file(GLOB FORNAX_CUDA_KERNELS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*/*.cu)
if(FORNAX_CUDA_KERNELS)
  fornax_cuda_objects(fornax_cuda_kernels ${FORNAX_CUDA_KERNELS})
endif()

# The module on a card. The run time is linked into it, so that it opens where there is no driver
# and can say so; cublasLt is opened by name.
include(cuda_backend)
file(GLOB FORNAX_CUBLASLT_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*/*_cublaslt.cpp)
fornax_backend_module(fornax_cuda
  ${FORNAX_CUDA_DIR}/cuda_module.cpp ${FORNAX_CUDA_DIR}/cudart_table.cpp
  ${FORNAX_CUBLASLT_SOURCES} ${FORNAX_GENERATED}/cublaslt_table.cpp)
set_target_properties(fornax_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)
target_link_libraries(fornax_cuda PRIVATE CUDA::cudart_static ${CMAKE_DL_LIBS})
target_link_options(fornax_cuda PRIVATE -Wl,--exclude-libs,ALL)
foreach(objects fornax_cuda_kernels fornax_cuda_kernels_sm90)
  if(TARGET ${objects})
    target_link_libraries(fornax_cuda PRIVATE ${objects})
  endif()
endforeach()
