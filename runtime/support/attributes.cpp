// Attributes of nodes.
#include <fornax/attributes.h>
#include <fornax/error.h>

#include <algorithm>
#include <cstdio>

namespace fornax {

namespace {

std::string text_of(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}
std::string text_of(std::int64_t value) { return std::to_string(value); }
std::string text_of(const std::string& value) { return value; }
template <class T>
std::string text_of(const std::vector<T>& values) {
  std::string text(1, '[');
  for (const T& value : values) text += (text.size() > 1 ? ", " : "") + text_of(value);
  return text += ']';
}

}  // namespace

Attributes::Attributes(std::initializer_list<std::pair<std::string_view, Attribute>> entries) {
  for (const auto& [name, value] : entries) set(name, value);
}

void Attributes::set(std::string_view name, Attribute value) {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), name,
                                   [](const auto& entry, auto key) { return entry.first < key; });
  if (at != entries_.end() && at->first == name)
    at->second = std::move(value);
  else
    entries_.emplace(at, std::string(name), std::move(value));
}

bool Attributes::has(std::string_view name) const noexcept {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const auto& entry) { return entry.first == name; });
}

const Attribute& Attributes::find(std::string_view name) const {
  for (const auto& [key, value] : entries_)
    if (key == name) return value;
  throw Error(ErrorCode::internal,
              "attribute '" + std::string(name) + "' is absent from " + to_string(*this));
}

namespace {
template <class T>
const T& typed(const Attribute& attribute, std::string_view name) {
  if (const T* value = std::get_if<T>(&attribute)) return *value;
  throw Error(ErrorCode::internal, "attribute '" + std::string(name) + "' has another type");
}
}  // namespace

std::int64_t Attributes::integer(std::string_view name) const {
  return typed<std::int64_t>(find(name), name);
}
double Attributes::number(std::string_view name) const { return typed<double>(find(name), name); }
const std::string& Attributes::text(std::string_view name) const {
  return typed<std::string>(find(name), name);
}
const std::vector<std::int64_t>& Attributes::integers(std::string_view name) const {
  return typed<std::vector<std::int64_t>>(find(name), name);
}
const std::vector<double>& Attributes::numbers(std::string_view name) const {
  return typed<std::vector<double>>(find(name), name);
}

std::string to_string(const Attributes& attributes) {
  std::string text(1, '{');
  for (const auto& [name, value] : attributes.entries()) {
    if (text.size() > 1) text += ", ";
    text += name + '=' + std::visit([](const auto& v) { return text_of(v); }, value);
  }
  return text += '}';
}

}  // namespace fornax
