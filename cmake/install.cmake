# Installing: the library, its modules, the public headers, a CMake package and a pkg-config file.
# None of them needs CUDA or a third-party package on the consumer's side.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
install(TARGETS fornax EXPORT fornax-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(module fornax_cuda fornax_simt)
  if(TARGET ${module})
    install(TARGETS ${module} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()
install(DIRECTORY include/fornax DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")

set(FORNAX_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/fornax)
install(EXPORT fornax-targets NAMESPACE fornax:: DESTINATION ${FORNAX_PACKAGE_DIR})
configure_package_config_file(cmake/fornax-config.cmake.in ${PROJECT_BINARY_DIR}/fornax-config.cmake
  INSTALL_DESTINATION ${FORNAX_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fornax-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fornax-config.cmake
  ${PROJECT_BINARY_DIR}/fornax-config-version.cmake DESTINATION ${FORNAX_PACKAGE_DIR})

# The prefix is found from where the file lies, so that an installed tree can be moved.
file(RELATIVE_PATH FORNAX_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" FORNAX_PC_PREFIX "${FORNAX_PC_PREFIX}")
configure_file(cmake/fornax.pc.in ${PROJECT_BINARY_DIR}/fornax.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fornax.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
