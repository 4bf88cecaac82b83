// Attributes of a node: small named constants, known when the graph is built.
#pragma once
#include <fornax/export.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fornax {

using Attribute =
    std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>>;

/// Named constants of a node, kept sorted by name: one source of print, hash and equality.
class FORNAX_API Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string_view, Attribute>> entries);

  void set(std::string_view name, Attribute value);
  bool has(std::string_view name) const noexcept;
  /// Throw Error{internal} when the attribute is absent or of another type.
  std::int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  const std::vector<std::int64_t>& integers(std::string_view name) const;
  const std::vector<double>& numbers(std::string_view name) const;

  const std::vector<std::pair<std::string, Attribute>>& entries() const noexcept {
    return entries_;
  }
  bool operator==(const Attributes&) const = default;

 private:
  const Attribute& find(std::string_view name) const;
  std::vector<std::pair<std::string, Attribute>> entries_;
};

/// "{activation=gelu, axis=1}"; numbers are printed so that they read back to the same bits.
FORNAX_API std::string to_string(const Attributes& attributes);

}  // namespace fornax
