# The simt machine: runs CUDA kernels, built by the host compiler, on fibers (runtime/cuda/simt).
# The engine is told which sanitizer the kernels carry and never carries one itself.
set(FORNAX_SIMT_DEFINITIONS "")
if(FORNAX_SANITIZE STREQUAL "address")
  set(FORNAX_SIMT_DEFINITIONS SIMT_ADDRESS)
elseif(FORNAX_SANITIZE STREQUAL "thread")
  set(FORNAX_SIMT_DEFINITIONS SIMT_THREAD)
endif()

find_package(Boost 1.74 COMPONENTS context)
if(NOT TARGET Boost::context)
  message(STATUS "simt machine: off, Boost.Context was not found (libboost-context-dev)")
  set(FORNAX_BUILD_SIMT OFF)
  return()
endif()
file(GLOB FORNAX_SIMT_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/runtime/cuda/simt/*.cpp)
add_library(fornax_simt_engine STATIC ${FORNAX_SIMT_SOURCES})
target_include_directories(fornax_simt_engine PUBLIC ${PROJECT_SOURCE_DIR}
  ${PROJECT_SOURCE_DIR}/include)
target_compile_definitions(fornax_simt_engine PUBLIC ${FORNAX_SIMT_DEFINITIONS})
target_link_libraries(fornax_simt_engine PUBLIC Boost::context Threads::Threads)
# A loop that the compiler turns into memcpy or memmove would be seen by TSan: false races.
target_compile_options(fornax_simt_engine PRIVATE ${FORNAX_NUMERIC_FLAGS} ${FORNAX_WARNINGS}
  -O3 -fno-builtin $<$<CXX_COMPILER_ID:GNU>:-fno-tree-loop-distribute-patterns>)

# fornax_simt_kernels(target sources...): compiles .cu files into the target as C++. A file's
# LANGUAGE holds for a whole directory, so the caller's directory compiles nothing by nvcc.
function(fornax_simt_kernels target)
  set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX)
  target_sources(${target} PRIVATE ${ARGN})
  target_link_libraries(${target} PUBLIC fornax_simt_engine)
  fornax_compile_options(${target})
  target_compile_options(${target} PRIVATE -Wno-unused-function)
endfunction()

include(cuda_backend)
set_target_properties(fornax_simt_engine PROPERTIES CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON)
add_subdirectory(${PROJECT_SOURCE_DIR}/runtime/cuda)
