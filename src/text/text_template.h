// `--template '{instruction}\n{context}\n{response}'`: how the fields of a record become a text.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace moescope::text {

// {field} stands for a field; \n \t \r \\ \{ \} for themselves. Immutable.
class TextTemplate {
 public:
  // Throws Error(kBadInput) with the position for a brace or backslash that is not closed or known,
  // and for a template without any field.
  explicit TextTemplate(std::string_view pattern);

  // The fields it names, in order of first use.
  const std::vector<std::string>& fields() const { return fields_; }
  // `value(i)` is the text of fields()[i].
  std::string Fill(const std::function<const std::string&(size_t)>& value) const;

 private:
  struct Part {
    std::string literal;  // comes before the field
    size_t field;
  };
  size_t FieldIndex(std::string_view name);

  std::vector<Part> parts_;
  std::string tail_;
  std::vector<std::string> fields_;
};

}  // namespace moescope::text
