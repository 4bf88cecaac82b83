// planted as samples/planted.cpp.
// Samples see what every program sees.
#include <CLI/CLI.hpp>
#include <fornax/graph.h>
#include "runtime/graph/graph_data.h"  // FAULT
