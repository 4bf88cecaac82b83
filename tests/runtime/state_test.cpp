// State: names and hints, what set and extend refuse; the table of device names.
#include <fornax/fornax.h>

#include "tests/runtime/expect_error.h"

namespace fornax {
namespace {

constexpr ErrorCode kInvalid = ErrorCode::invalid_argument;

Graph two_layers(std::int64_t width = 5) {
  Graph graph;
  const Value x = graph.input("x", {2, 3});
  const Value h = linear(x, graph.parameter("first.weight", {width, 3}, he_normal()));
  const Value y = linear(h, graph.parameter("second.weight", {1, width}, he_normal()));
  adamw(graph, gradients(sum(y), graph.parameters()), {.learning_rate = 0.125});
  return graph;
}

TEST(State, HintsAtTheNearestName) {
  State state = initialize(two_layers(), Device::cpu(1));
  const char* hint =
      "no parameter or state is called 'secnd.weigth'; the nearest is 'second.weight'";
  expect_error(ErrorCode::not_found, hint, [&] { state.get("secnd.weigth"); });
  expect_error(ErrorCode::not_found, hint, [&] { state.set("secnd.weigth", Tensor()); });
  expect_error(ErrorCode::not_found, "the nearest is 'learning_rate'", [&] { state.scalar("lr"); });
  expect_error(ErrorCode::not_found, "the nearest is 'learning_rate'",
               [&] { state.set_scalar("rate", 1); });
  const State empty = initialize(Graph(), Device::cpu(1));
  try {
    empty.get("w");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("nearest"), std::string::npos) << "there is none";
  }
}

TEST(State, SetRefusesWhatDoesNotFit) {
  State state = initialize(two_layers(), Device::cpu(1), {.seed = 1});
  const std::string hash = state.sha256();
  expect_error(ErrorCode::shape, "'first.weight' has shape [5, 3]; got [3, 5]", [&] {
    state.set("first.weight", Tensor(DType::f32, {3, 5}));
  });
  expect_error(ErrorCode::dtype, "i32 given where f32 is kept", [&] {
    state.set("first.weight", Tensor(DType::i32, {5, 3}));
  });
  expect_error(kInvalid, "step -1; it is 0 or more", [&] { state.set_step(-1); });
  EXPECT_EQ(state.sha256(), hash);
  state.set("first.weight", Tensor(DType::f32, {5, 3}));
  EXPECT_NE(state.sha256(), hash);
  const Tensor zeros_now = state.get("first.weight");
  for (const float zero : zeros_now.as<float>()) EXPECT_EQ(zero, 0);
}

TEST(State, KeepsWhatItIsGiven) {
  State state = initialize(two_layers(), Device::cpu(1), {.seed = 7});
  EXPECT_EQ(state.seed(), 7u);
  EXPECT_EQ(state.scalar("learning_rate"), 0.125);
  state.set_scalar("learning_rate", 0.5), state.set_note("where", "here"), state.set_step(12);
  const State copy = state;  // one state
  EXPECT_EQ(copy.scalars(), (std::map<std::string, double>{{"learning_rate", 0.5}}));
  EXPECT_EQ(copy.notes(), (std::map<std::string, std::string>{{"where", "here"}}));
  EXPECT_EQ(copy.note("elsewhere"), "");
  EXPECT_EQ(copy.step(), 12);
  EXPECT_EQ(copy.parameters().size(), 2u);
  std::vector<std::string> names;
  for (const StateEntry& entry : copy.entries()) names.push_back(entry.name);
  EXPECT_EQ(names, (std::vector<std::string>{"first.weight", "first.weight.moment1",
                                             "first.weight.moment2", "second.weight",
                                             "second.weight.moment1", "second.weight.moment2"}));
}

TEST(State, ExtendKeepsWhatIsThereAndRefusesWhatDoesNotFit) {
  State state = initialize(two_layers(), Device::cpu(1), {.seed = 1});
  const std::string hash = state.sha256();
  state.extend(two_layers());
  EXPECT_EQ(state.sha256(), hash);
  Graph wrong_shape, wrong_dtype, more;
  wrong_shape.parameter("before", {2}, ones());  // made before the one that does not fit
  wrong_shape.parameter("first.weight", {4, 3}, ones());
  expect_error(ErrorCode::shape, "'first.weight' has shape [5, 3], the graph wants [4, 3]",
               [&] { state.extend(wrong_shape); });
  expect_error(ErrorCode::shape, "the graph wants [4, 3]",
               [&] { compile(wrong_shape, state, {}); });
  wrong_dtype.state("first.weight", {5, 3}, zeros(), DType::i32);
  expect_error(ErrorCode::dtype, "'first.weight' is f32, the graph wants i32",
               [&] { state.extend(wrong_dtype); });
  EXPECT_EQ(state.sha256(), hash) << "all or nothing";
  more.state("count", {2}, zeros(), DType::i32);
  state.extend(more);
  EXPECT_EQ(state.get("count").dtype(), DType::i32);
  EXPECT_NE(state.sha256(), hash);
}

TEST(State, IntegersStartFromZerosOnly) {
  Graph graph;
  graph.state("count", {2}, ones(), DType::i32);
  expect_error(ErrorCode::dtype, "'count' is i32, which starts from zeros only",
               [&] { initialize(graph, Device::cpu(1)); });
}

TEST(State, InitialValuesHangOnSeedAndNameAlone) {
  const auto weight = [](const Graph& graph, const Device& device, std::uint64_t seed) {
    const Tensor w = initialize(graph, device, {.seed = seed}).get("first.weight");
    return std::vector<float>(w.as<float>().begin(), w.as<float>().end());
  };
  Graph alone;
  alone.parameter("first.weight", {5, 3}, he_normal());
  const auto wanted = weight(two_layers(), Device::cpu(1), 1);
  EXPECT_EQ(weight(alone, Device::reference(), 1), wanted);
  EXPECT_NE(weight(alone, Device::reference(), 2), wanted);
}

std::vector<float> initial(const Shape& shape, const Initializer& initializer) {
  Graph graph;
  graph.parameter("layer.weight", shape, initializer);
  const Tensor w = initialize(graph, Device::cpu(1), {.seed = 7}).get("layer.weight");
  return {w.as<float>().begin(), w.as<float>().end()};
}

/// The eight words of "layer.weight" at seed 7, by a Philox written apart from ours, and the
/// standard normals that Box and Muller make of them.
constexpr std::uint32_t kWords[] = {0x2beefbcb, 0xba916b95, 0x076f19e5, 0x3f3e792e,
                                    0x33a49331, 0x40677713, 0x11701031, 0xe46b3b7f};
constexpr double kNormals[] = {-0.24956791, -1.86083718, 0.04936051, 2.66003625,
                               -0.01774895, 1.78922751,  1.80685357, -1.45201901};

TEST(Initializers, GiveTheKnownValues) {
  const auto uniforms = initial({2, 4}, uniform(-1, 3));
  const auto xavier = initial({2, 4}, xavier_uniform());  // bound sqrt(6 / (4 + 2)) = 1
  const auto normals = initial({2, 4}, normal(1, 2));
  const auto he = initial({1, 8}, he_normal());  // deviation sqrt(2 / 8) = 1/2
  for (std::size_t i = 0; i < 8; ++i) {
    const double u = (kWords[i] >> 8) * 0x1p-24;
    EXPECT_EQ(uniforms[i], static_cast<float>(4 * u - 1)) << i;
    EXPECT_EQ(xavier[i], static_cast<float>(2 * u - 1)) << i;
    EXPECT_NEAR(normals[i], 2 * kNormals[i] + 1, 2e-6) << i;
    EXPECT_NEAR(he[i], kNormals[i] / 2, 5e-7) << i;
  }
  EXPECT_EQ(initial({2}, constant(0.1)), (std::vector<float>{0.1f, 0.1f}));
  EXPECT_EQ(initial({2}, ones()), (std::vector<float>{1, 1}));
  EXPECT_EQ(initial({2}, zeros()), (std::vector<float>{0, 0}));
}

TEST(DeviceNames, AreParsedAndPrinted) {
  using Kind = Device::Kind;
  struct Row {
    const char* text;
    Kind kind;
    int index, threads;
    DType dtype;
    const char* printed;
  };
  const Row table[] = {
      {"automatic", Kind::automatic, 0, 0, DType::f32, "automatic"},
      {"cpu", Kind::cpu, 0, 0, DType::f32, "cpu"},
      {"cpu:2", Kind::cpu, 0, 2, DType::f32, "cpu:2"},
      {"cpu:4095", Kind::cpu, 0, 4095, DType::f32, "cpu:4095"},
      {"reference", Kind::reference, 0, 0, DType::f32, "reference"},
      {"reference:f32", Kind::reference, 0, 0, DType::f32, "reference"},
      {"reference:f64", Kind::reference, 0, 0, DType::f64, "reference:f64"},
      {"cuda", Kind::cuda, 0, 0, DType::f32, "cuda:0"},
      {"cuda:1", Kind::cuda, 1, 0, DType::f32, "cuda:1"},
      {"simt", Kind::simt, 0, 0, DType::f32, "simt"},
  };
  for (const Row& row : table) {
    const Device device = Device::parse(row.text);
    EXPECT_EQ(device.kind, row.kind) << row.text;
    EXPECT_EQ(device.index, row.index) << row.text;
    EXPECT_EQ(device.threads, row.threads) << row.text;
    EXPECT_EQ(device.reference_dtype, row.dtype) << row.text;
    EXPECT_EQ(to_string(device), row.printed);
  }
}

TEST(DeviceNames, AnythingElseIsRefused) {
  for (const char* text : {"", "gpu", "CPU", "cpu ", "reference:f16", "simt:0", "automatic:1", ":"})
    expect_error(kInvalid, "is unknown; there are automatic, cpu", [&] { Device::parse(text); });
  for (const char* text : {"cpu:", "cpu:-1", "cpu:4096", "cpu:2x", "cpu: 2", "cuda:x", "cuda:1:2",
                           "cpu:99999999999999999999"})
    expect_error(kInvalid, "a number from 0 to 4095 follows the colon",
                 [&] { Device::parse(text); });
}

}  // namespace
}  // namespace fornax
