// A program outside the tree: throws, catches and prints through the installed library.
#include <fornax/error.h>
#include <fornax/graph.h>

#include <cstdio>

int main() {
  fornax::Graph graph;
  const fornax::Value x = graph.input("x", {64, 784});
  try {
    graph.input("x", {1});
    return 1;
  } catch (const fornax::Error& error) {
    if (error.code() != fornax::ErrorCode::invalid_argument) return 2;
  }
  std::printf("%s\n", fornax::to_string(x.shape()).c_str());
}
