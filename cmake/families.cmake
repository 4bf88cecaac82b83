# The op table, made from the names of folders: kernels/<family>/<family>.cpp has <family>_ops(),
# <family>_cpu.cpp has <family>_cpu_kernels(), <family>.cu has <family>_cuda_kernels(),
# <family>_cublaslt.cpp has <family>_cublaslt_kernels().
file(GLOB FORNAX_FAMILY_FILES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*/*.cpp
  ${PROJECT_SOURCE_DIR}/kernels/*/*.cu)

# fornax_op_table(output suffix kind type): a file whose <kind>_table() joins the families' lists.
function(fornax_op_table output suffix kind type)
  set(declarations "")
  set(entries "")
  foreach(file ${FORNAX_FAMILY_FILES})
    get_filename_component(folder ${file} DIRECTORY)
    get_filename_component(family ${folder} NAME)
    if(file STREQUAL "${folder}/${family}${suffix}")
      string(APPEND declarations "std::span<const ${type}> ${family}_${kind}();\n")
      string(APPEND entries "    ${family}_${kind}(),\n")
    endif()
  endforeach()
  file(CONFIGURE OUTPUT ${output} CONTENT
"// Made by cmake/families.cmake.
#include \"kernels/op_table.h\"
namespace fornax::kernels {
${declarations}
std::vector<std::span<const ${type}>> ${kind}_table() {
  return {
${entries}  };
}
}  // namespace fornax::kernels
" @ONLY)
endfunction()

set(FORNAX_GENERATED ${PROJECT_BINARY_DIR}/generated)
fornax_op_table(${FORNAX_GENERATED}/op_table.cpp .cpp ops OpDefinition)
fornax_op_table(${FORNAX_GENERATED}/cpu_table.cpp _cpu.cpp cpu_kernels Kernel)
fornax_op_table(${FORNAX_GENERATED}/cuda_table.cpp .cu cuda_kernels Kernel)
fornax_op_table(${FORNAX_GENERATED}/cublaslt_table.cpp _cublaslt.cpp cublaslt_kernels Kernel)
