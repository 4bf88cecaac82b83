# libfornax: every .cpp below kernels/ and runtime/ but the CUDA modules' own files.
file(GLOB_RECURSE FORNAX_SOURCES CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/kernels/*.cpp ${PROJECT_SOURCE_DIR}/runtime/*.cpp)
list(FILTER FORNAX_SOURCES EXCLUDE REGEX "/runtime/cuda/|_cublaslt\\.cpp$|_cudnn\\.cpp$")
# Objects are shared by the library and by tests, which see inside.
add_library(fornax_objects OBJECT ${FORNAX_SOURCES}
  ${FORNAX_GENERATED}/op_table.cpp ${FORNAX_GENERATED}/cpu_table.cpp)
target_include_directories(fornax_objects PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}
  PRIVATE ${HIGHWAY_INCLUDE_DIR})
# One build id for the library and its modules; a module of another build is refused.
set(FORNAX_BUILD_ID "${PROJECT_VERSION}-${CMAKE_BUILD_TYPE}-${FORNAX_SANITIZE}")
target_compile_definitions(fornax_objects PRIVATE FORNAX_BUILDING
  FORNAX_BUILD_ID="${FORNAX_BUILD_ID}")
target_link_libraries(fornax_objects PUBLIC Threads::Threads ${CMAKE_DL_LIBS}
  PRIVATE spdlog::spdlog)
set_target_properties(fornax_objects PROPERTIES CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON)
fornax_compile_options(fornax_objects)

# The library: hidden symbols, public headers only. Consumers link fornax::fornax, in this tree and
# outside it.
add_library(fornax SHARED)
add_library(fornax::fornax ALIAS fornax)
target_link_libraries(fornax PRIVATE fornax_objects)
target_include_directories(fornax PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
target_compile_features(fornax PUBLIC cxx_std_20)
# While the major version is 0, every minor version may change the ABI.
set_target_properties(fornax PROPERTIES VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} CXX_VISIBILITY_PRESET hidden)
target_link_options(fornax PRIVATE ${FORNAX_SANITIZE_FLAGS} ${FORNAX_HARDENING_LINK_FLAGS}
  -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map)
set_property(TARGET fornax APPEND PROPERTY LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/exports.map)
if(NOT FORNAX_SANITIZE)
  target_link_options(fornax PRIVATE -Wl,--no-undefined)
endif()
