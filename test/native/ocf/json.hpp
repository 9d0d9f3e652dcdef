// Just enough JSON to read test vectors. Throws on anything malformed: tests may.
#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace json {

struct Value;
using Array = std::vector<Value>;
using Object = std::map<std::string, Value>;

struct Value {
  std::variant<std::nullptr_t, bool, double, std::string, Array, Object> is;
  [[nodiscard]] const Value& operator[](const std::string& name) const { return std::get<Object>(is).at(name); }
  [[nodiscard]] const Array& array() const { return std::get<Array>(is); }
  [[nodiscard]] const std::string& text() const { return std::get<std::string>(is); }
  [[nodiscard]] double number() const { return std::get<double>(is); }
  /// A string of hexadecimal digits.
  [[nodiscard]] std::vector<uint8_t> hex() const {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i + 1 < text().size(); i += 2)
      bytes.push_back(static_cast<uint8_t>(std::stoi(text().substr(i, 2), nullptr, 16)));
    return bytes;
  }
};

class Parser {
 public:
  explicit Parser(std::string text) : text_(std::move(text)) {}
  Value parse() {
    switch (peek()) {
      case '{': return object();
      case '[': return array();
      case '"': return {string()};
      case 't': return word("true"), Value{true};
      case 'f': return word("false"), Value{false};
      case 'n': return word("null"), Value{nullptr};
      default: return number();
    }
  }

 private:
  char peek() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
    if (at_ >= text_.size()) throw std::runtime_error("JSON ends early");
    return text_[at_];
  }
  bool take(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) throw std::runtime_error(std::string("JSON: expected ") + wanted + " at " + std::to_string(at_));
  }
  void word(std::string_view wanted) {
    if (text_.compare(at_, wanted.size(), wanted) != 0) throw std::runtime_error("JSON: unknown word");
    at_ += wanted.size();
  }
  Value number() {
    size_t used = 0;
    const double value = std::stod(text_.substr(at_, 32), &used);
    at_ += used;
    return {value};
  }
  std::string string() {
    expect('"');
    std::string out;
    while (text_.at(at_) != '"') {
      if (text_[at_] == '\\') ++at_;  // the escape's letter is kept: no vector needs more
      out += text_.at(at_++);
    }
    ++at_;
    return out;
  }
  Value array() {
    expect('[');
    Array out;
    if (take(']')) return {out};
    do out.push_back(parse());
    while (take(','));
    expect(']');
    return {std::move(out)};
  }
  Value object() {
    expect('{');
    Object out;
    if (take('}')) return {out};
    do {
      peek();
      std::string name = string();
      expect(':');
      out.emplace(std::move(name), parse());
    } while (take(','));
    expect('}');
    return {std::move(out)};
  }
  std::string text_;
  size_t at_ = 0;
};

inline Value readFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return Parser(text.str()).parse();
}

}  // namespace json
