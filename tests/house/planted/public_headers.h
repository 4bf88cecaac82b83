// planted as include/fornax/planted.h.
// Standard library and fornax only.
#include <fornax/export.h>
#include <vector>
#include <spdlog/spdlog.h>  // FAULT
#include <unistd.h>  // FAULT
#define FORNAX_PLANTED 1
#define PLANTED 1  // FAULT
spdlog::logger& log();  // FAULT
void launch(cudaStream_t stream);  // FAULT
