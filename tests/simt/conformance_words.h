// The words of the conformance kernels: what goes in, and the stored results, one file a primitive
// in tests/simt/conformance. The host twins and a GPU must both give the stored words.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/simt/kernels/conformance.cuh"

namespace fornax::simt_test {

using Words = std::vector<std::uint32_t>;
constexpr std::size_t kWords = 1024;

/// Words of a primitive's kernel, the same everywhere: random ones, or operands that suit it.
Words input_of(const std::string& primitive);

std::vector<Primitive> primitives_before_sm90();

/// NAME.txt, or NAME.sm_80.txt where the words differ between architectures; of a card always
/// NAME.sm_80.card.txt.
std::string words_file(const Primitive& primitive, const std::string& architecture, bool card);

/// A line of comment with `from` and a hash of the input, then the words up to the last that is not
/// 0, eight a line.
void write_words(const std::filesystem::path& path, const std::string& from, const Words& in,
                 const Words& out);

/// "" when the file holds `out` for the input `in`; else what differs first.
std::string difference_from_file(const std::filesystem::path& path, const Words& in,
                                 const Words& out);

}  // namespace fornax::simt_test
