// planted as runtime/graph/graph.cpp.
// TODO: FAULT
