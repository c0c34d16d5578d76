// Figure 8 on a terminal: backgrounds by first choice, or a line of expert numbers under each line
// of text where there are no colours.
#include <fmt/format.h>

#include <algorithm>

#include "study/figures/coloured_token.h"
#include "study/figures/palette.h"
#include "study/figures/terminal.h"
#include "study/figures/text_table.h"
#include "study/figures/utf8.h"

namespace moescope::study {
namespace {

constexpr const char* kReset = "\x1b[0m";

std::string Background(int expert) {
  const Colour colour = ExpertColour(expert);
  return fmt::format("\x1b[48;2;{};{};{}m\x1b[30m", colour.red, colour.green, colour.blue);
}

std::string Legend(int n_experts, const TerminalStyle& style) {
  if (!style.colour) return "The number under a token is the expert of its first choice.\n\n";
  std::string text = "First choice: ";
  const int n_shown = std::min<int>(n_experts, static_cast<int>(kExpertColours.size()));
  for (int expert = 0; expert < n_shown; ++expert) {
    text += fmt::format("{} {} {} ", Background(expert), expert, kReset);
  }
  if (n_experts > n_shown) text += "and so on in turn; the small number is the expert";
  return text + "\n\n";
}

class ColouredLines {
 public:
  ColouredLines(int n_experts, int width) : with_numbers_(n_experts > 8), width_(width) {}
  void Add(const std::string& piece, int expert, bool ends_line) {
    const std::string label = with_numbers_ ? SubscriptNumber(expert) : "";
    const int width = DisplayWidth(piece) + DisplayWidth(label);
    if (column_ > 0 && column_ + width > width_) Break();
    text_ += Background(expert) + piece + label + kReset;
    column_ += width;
    if (ends_line) Break();
  }
  std::string Finish() {
    if (column_ > 0) Break();
    return text_;
  }

 private:
  void Break() {
    text_ += "\n";
    column_ = 0;
  }
  std::string text_;
  bool with_numbers_;
  int width_;
  int column_ = 0;
};

class NumberedLines {
 public:
  explicit NumberedLines(int width) : width_(width) {}
  void Add(const std::string& piece, int expert, bool ends_line) {
    const std::string label = expert < 0 ? "-" : fmt::format("{}", expert);
    const int piece_width = DisplayWidth(piece);
    // A number of its own under each token, and a blank between numbers of two digits.
    const int width =
        std::max<int>(piece_width, static_cast<int>(label.size()) + (label.size() > 1));
    if (column_ > 0 && column_ + width > width_) Break();
    line_ += piece + std::string(width - piece_width, ' ');
    labels_ += label + std::string(width - label.size(), ' ');
    column_ += width;
    if (ends_line) Break();
  }
  std::string Finish() {
    if (column_ > 0) Break();
    return text_;
  }

 private:
  void Break() {
    labels_.erase(labels_.find_last_not_of(' ') + 1);
    text_ += line_ + "\n" + labels_ + "\n";
    line_.clear();
    labels_.clear();
    column_ = 0;
  }
  std::string text_, line_, labels_;
  int width_;
  int column_ = 0;
};

}  // namespace

std::string RoutedTextText(const std::vector<RoutedText>& texts, int n_experts,
                           const TerminalStyle& style) {
  std::string out = Legend(n_experts, style);
  for (const RoutedText& text : texts) {
    const std::vector<std::string> pieces = DisplayPieces(text.bytes);
    for (size_t l = 0; l < text.layers.size(); ++l) {
      out += fmt::format("{}, document {} ({}), layer {}\n", Printable(text.dataset), text.document,
                         Printable(text.unit), text.layers[l]);
      ColouredLines coloured(n_experts, style.width);
      NumberedLines numbered(style.width);
      for (size_t i = 0; i < pieces.size(); ++i) {
        const bool ends_line = !text.bytes[i].empty() && text.bytes[i].back() == '\n';
        const int expert = text.first_choice[l][i];
        if (style.colour) {
          coloured.Add(pieces[i], expert, ends_line);
        } else {
          numbered.Add(pieces[i], expert, ends_line);
        }
      }
      out += (style.colour ? coloured.Finish() : numbered.Finish()) + "\n";
    }
  }
  return out;
}

}  // namespace moescope::study
