// Inputs of the conformance kernels and the files of their results.
#include "tests/simt/conformance_words.h"

#include <bit>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

#include "kernels/device/types.cuh"

namespace fornax::simt_test {

namespace {

std::uint32_t hash_of(const Words& words) {  // FNV-1a by words
  std::uint32_t hash = 2166136261u;
  for (const std::uint32_t word : words) hash = (hash ^ word) * 16777619u;
  return hash;
}

std::string hex(std::uint32_t word) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", word);
  return text;
}

std::uint32_t pair_of(bool bf16, float low, float high) {
  return bf16 ? device::pack(device::to_bf16(low), device::to_bf16(high))
              : device::pack(device::to_f16(low), device::to_f16(high));
}

float small_a(std::size_t m, std::size_t k) { return static_cast<float>((m * 3 + k * 5) % 7) - 3; }
float small_b(std::size_t k, std::size_t n) { return static_cast<float>((k * 2 + n * 7) % 5) - 2; }

// Small integers: every format and sum is exact, so only the layout is in question.
void put_small_operands(const std::string& format, Words& in) {
  for (std::size_t t = 0; t < 32; ++t)
    for (std::size_t r = 0; r < 4; ++r) {
      in[192 + 32 * r + t] = std::bit_cast<std::uint32_t>(static_cast<float>(t + r));
      const std::size_t row = t / 4 + r % 2 * 8;
      if (format == "tf32") {
        in[32 * r + t] = device::to_tf32(small_a(row, t % 4 + r / 2 * 4));
        if (r < 2) in[128 + 32 * r + t] = device::to_tf32(small_b(t % 4 + r * 4, t / 4));
        continue;
      }
      const std::size_t k = t % 4 * 2 + r / 2 * 8, depth = t % 4 * 2 + r % 2 * 8;
      const bool bf16 = format == "bf16";
      in[32 * r + t] = pair_of(bf16, small_a(row, k), small_a(row, k + 1));
      if (r < 2)
        in[128 + 32 * r + t] = pair_of(bf16, small_b(depth, t / 4), small_b(depth + 1, t / 4));
    }
}

// Numbers of both signs from 2^-8 to 2^8, so that sums lose bits; also as the first sums.
void put_rounding_operands(const std::string& format, Words& in) {
  std::mt19937 random(11);
  const auto number = [&] {
    const auto bits = static_cast<std::uint32_t>(random());
    const std::uint32_t exponent = 127 - 8 + (bits >> 23) % 16;
    return std::bit_cast<float>((bits & 0x807fffffu) | exponent << 23);
  };
  for (std::size_t i = 0; i < 896; ++i) {
    const float low = number(), high = number();
    const bool sum = i >= 192 && i < 320;
    in[i] = sum                ? std::bit_cast<std::uint32_t>(low)
            : format == "tf32" ? device::to_tf32(low)
                               : pair_of(format == "bf16", low, high);
  }
}

// Edges of the formats, then random numbers; a NaN of 16 bits is left out, its payload is open.
void put_numbers(Words& in) {
  const float values[] = {0.0f,     -0.0f,    1.0f,         65504.0f,   65519.9f,  65520.0f,
                          INFINITY, NAN,      0x1.ffcp-15f, 0x1p-24f,   0x1p-25f,  0x1.8p-25f,
                          1e-40f,   -3.4e38f, 0x1.002p0f,   0x1.006p0f, 0x1.01p0f, 0x1.03p0f};
  for (std::size_t i = 0; i < std::size(values); ++i)
    in[i] = std::bit_cast<std::uint32_t>(values[i]);
  in[64] = 0x0001, in[65] = 0x7bff, in[66] = 0xfc00;
  for (std::size_t i = 67; i < 128; ++i)
    if ((in[i] & 0x7c00u) == 0x7c00u) in[i] &= ~0x3ffu;
}

}  // namespace

Words input_of(const std::string& primitive) {
  Words in(kWords);
  std::mt19937 random(5);
  for (std::uint32_t& word : in) word = static_cast<std::uint32_t>(random());
  const std::size_t end = primitive.find("_rounding");
  if (primitive.starts_with("mma_") && end != std::string::npos)
    put_rounding_operands(primitive.substr(4, end - 4), in);
  else if (primitive.starts_with("mma_"))
    put_small_operands(primitive.substr(4), in);
  if (primitive == "conversions") put_numbers(in);
  if (primitive == "votes")
    for (std::size_t t = 32; t < 64; ++t) in[t] |= 1u;
  return in;
}

std::vector<Primitive> primitives_before_sm90() {
  std::vector<Primitive> all;
  for (const Primitive& one : warp_primitives()) all.push_back(one);
  for (const Primitive& one : memory_primitives()) all.push_back(one);
  return all;
}

std::string words_file(const Primitive& primitive, const std::string& architecture, bool card) {
  const bool named = primitive.by_architecture || card;
  return primitive.name + (named ? '.' + architecture : std::string()) +
         (card ? ".card.txt" : ".txt");
}

void write_words(const std::filesystem::path& path, const std::string& from, const Words& in,
                 const Words& out) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path);
  file << "# input " << hex(hash_of(in)) << ", by " << from << '\n';
  std::size_t count = out.size();
  while (count > 0 && out[count - 1] == 0) --count;
  for (std::size_t i = 0; i < count; ++i)
    file << hex(out[i]) << (i % 8 == 7 || i + 1 == count ? '\n' : ' ');
  if (!file) throw std::runtime_error(path.string() + " cannot be written");
}

std::string difference_from_file(const std::filesystem::path& path, const Words& in,
                                 const Words& out) {
  std::ifstream file(path);
  std::string comment;
  if (!std::getline(file, comment)) return "there is no " + path.string();
  if (!comment.starts_with("# input " + hex(hash_of(in)) + ", by "))
    return path.string() + " is of another input: " + comment;
  Words stored(out.size(), 0);
  std::size_t i = 0;
  for (std::string word; file >> word; ++i) {
    if (i == stored.size() || word.size() != 8)
      return path.string() + ": word " + std::to_string(i) + " '" + word + "' should not be there";
    stored[i] = static_cast<std::uint32_t>(std::stoul(word, nullptr, 16));
  }
  if (i == 0) return path.string() + " holds no words";
  for (std::size_t k = 0; k < out.size(); ++k)
    if (stored[k] != out[k])
      return path.string() + ": word " + std::to_string(k) + " is " + hex(stored[k]) + ", got " +
             hex(out[k]);
  return "";
}

}  // namespace fornax::simt_test
