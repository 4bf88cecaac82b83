# What libfornax_cuda and libfornax_simt share: the backend over the table of driver calls.
include_guard(GLOBAL)
set(FORNAX_CUDA_DIR ${PROJECT_SOURCE_DIR}/runtime/cuda)
file(GLOB FORNAX_CUDA_BACKEND_SOURCES CONFIGURE_DEPENDS ${FORNAX_CUDA_DIR}/*.cpp)
list(FILTER FORNAX_CUDA_BACKEND_SOURCES EXCLUDE REGEX "_table\\.cpp$|_module\\.cpp$")
file(GLOB FORNAX_CUDA_KERNEL_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*/*.cu)

# fornax_backend_module(target sources...): a module beside libfornax, opened at run time. It takes
# the exported symbols of libfornax from the process and carries its own copy of the rest.
function(fornax_backend_module target)
  add_library(${target} MODULE ${FORNAX_CUDA_BACKEND_SOURCES} ${ARGN}
    ${FORNAX_CUDA_DIR}/backend_module.cpp
    ${PROJECT_SOURCE_DIR}/kernels/operand.cpp ${PROJECT_SOURCE_DIR}/runtime/memory/pool.cpp
    ${PROJECT_SOURCE_DIR}/kernels/host/parallel.cpp
    ${PROJECT_SOURCE_DIR}/kernels/host/float_environment.cpp
    ${PROJECT_SOURCE_DIR}/runtime/support/environment.cpp
    ${FORNAX_GENERATED}/cuda_table.cpp)
  target_include_directories(${target} PRIVATE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${target} PRIVATE FORNAX_BUILD_ID="${FORNAX_BUILD_ID}")
  target_link_libraries(${target} PRIVATE Threads::Threads)
  target_link_options(${target} PRIVATE ${FORNAX_HARDENING_LINK_FLAGS})
  set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  fornax_compile_options(${target})
endfunction()
