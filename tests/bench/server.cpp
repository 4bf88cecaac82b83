// See server.h.
#include "tests/bench/server.h"

#include <fornax/storage.h>
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <stdexcept>

namespace fornax::bench {

Settings::Settings(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) throw std::runtime_error(word + ": KEY=VALUE expected");
    values_[word.substr(0, equals)] = word.substr(equals + 1);
  }
}

std::string Settings::text(const std::string& key, const std::string& otherwise) const {
  const auto at = values_.find(key);
  return at == values_.end() ? otherwise : at->second;
}

std::int64_t Settings::integer(const std::string& key, std::int64_t otherwise) const {
  return std::stoll(text(key, std::to_string(otherwise)));
}

double Settings::number(const std::string& key, double otherwise) const {
  return std::stod(text(key, std::to_string(otherwise)));
}

std::vector<std::int64_t> Settings::list(const std::string& key) const {
  std::vector<std::int64_t> numbers;
  std::stringstream words(text(key, ""));
  for (std::string word; std::getline(words, word, ',');) numbers.push_back(std::stoll(word));
  return numbers;
}

Device Settings::device() const { return Device::parse(text("device", "cpu")); }

void write_data(const Settings& settings, const std::map<std::string, Tensor>& tensors) {
  const std::string path = settings.text("data", "");
  if (!path.empty()) save_safetensors(path, tensors);
}

Tensor normal_values(const Shape& shape, std::uint32_t seed) {
  Tensor tensor(DType::f32, shape);
  std::mt19937 engine(seed);
  std::normal_distribution<float> draw;
  for (float& value : tensor.as<float>()) value = draw(engine);
  return tensor;
}

namespace {

long long resident_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind(field, 0) == 0) return 1024 * std::atoll(line.c_str() + field.size());
  return 0;
}

}  // namespace

long long forget_peak() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";
  return resident_bytes("VmRSS:");
}

namespace {

void print_numbers(const std::vector<double>& numbers) {
  std::printf("[");
  for (std::size_t i = 0; i < numbers.size(); ++i)
    std::printf("%s%.9g", i > 0 ? ", " : "", numbers[i]);
  std::printf("]");
}

void print_ready(const Case& loaded) {
  std::printf("{\"check\": [");
  for (std::size_t i = 0; i < loaded.check.size(); ++i) {
    if (i > 0) std::printf(", ");
    print_numbers(loaded.check[i]);
  }
  std::printf("], \"wanted\": ");
  print_numbers({loaded.wanted.begin(), loaded.wanted.end()});
  const PlanSummary& plan = loaded.plan;
  const std::pair<const char*, std::int64_t> counts[] = {
      {"nodes", plan.nodes},
      {"launches", plan.launches},
      {"arena_bytes", plan.arena_bytes},
      {"lower_bound_bytes", plan.lower_bound_bytes},
      {"state_bytes", plan.state_bytes},
      {"moved_bytes", plan.read_bytes + plan.write_bytes},
      {"read_bytes", plan.read_bytes},
      {"write_bytes", plan.write_bytes}};
  for (const auto& [name, value] : counts)
    std::printf(", \"%s\": %lld", name, static_cast<long long>(value));
  if (loaded.fraction != 1) std::printf(", \"fraction\": %.17g", loaded.fraction);
  if (!loaded.version.empty()) std::printf(", \"version\": \"%s\"", loaded.version.c_str());
  std::printf(", \"quotients\": %.9g, \"operations\": %.9g, \"flops\": %.9g}\n", plan.quotients,
              plan.operations, plan.flops);
}

std::vector<std::string> words_of(const std::string& line) {
  std::stringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

class Process {
 public:
  explicit Process(const LoadCase& load) : load_(load) {}

  void load(const std::vector<std::string>& words) {
    if (words.empty()) throw std::runtime_error("a kind of case is missing");
    loaded_ = load_(words[0], Settings({words.begin() + 1, words.end()}));
    print_ready(loaded_);
  }

  void answer(const std::string& line) {
    if (line == "memory") {
      const long long held = loaded_.device_bytes;
      std::printf("%lld\n", held > 0 ? held : resident_bytes("VmHWM:") - resident_before_);
    } else if (line.rfind("load ", 0) == 0) {
      loaded_ = {};
      resident_before_ = forget_peak();
      load(words_of(line.substr(5)));
    } else {
      time(std::atoll(line.c_str()));
    }
  }

 private:
  void time(long long steps) const {
    const auto begin = std::chrono::steady_clock::now();
    for (long long i = 0; i < steps; ++i) loaded_.step();
    loaded_.finish();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    std::printf("%.9f\n", taken.count());
  }

  const LoadCase& load_;
  Case loaded_;
  long long resident_before_ = 0;
};

}  // namespace

int serve(int count, char** words, const LoadCase& load) {
  try {
    Process process(load);
    if (count > 1) process.load({words + 1, words + count});
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
      process.answer(line);
      std::fflush(stdout);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", words[0], error.what());
    return 1;
  }
  return 0;
}

}  // namespace fornax::bench
