#include "files/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/error.h"

namespace moescope::files {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kMaxHeaderBytes = 1 << 16;  // those of such arrays have about 118
constexpr int64_t kMaxExtent = int64_t{1} << 40;

[[noreturn]] void Refuse(ErrorKind kind, const std::string& path, const std::string& expected,
                         const std::string& found) {
  throw Error(kind, fmt::format("cannot read {}: expected {}, found {}", path, expected, found));
}

// The Python dictionary of a header: three keys in any order, each once.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  // Its shape, outermost first.
  std::vector<int64_t> Read() {
    Want('{');
    bool seen[3] = {};
    while (!Take('}')) {
      const std::string key = String();
      Want(':');
      const int index = key == "descr" ? 0 : key == "fortran_order" ? 1 : key == "shape" ? 2 : -1;
      if (index < 0 || seen[index]) Fail("the keys descr, fortran_order and shape, each once");
      seen[index] = true;
      if (index == 0) ReadType();
      if (index == 1) ReadOrder();
      if (index == 2) ReadShape();
      if (Take(',')) continue;
      Want('}');
      break;
    }
    SkipBlanks();
    if (at_ != text_.size() || !(seen[0] && seen[1] && seen[2])) {
      Fail("the keys descr, fortran_order and shape, and nothing else");
    }
    return shape_;
  }

 private:
  [[noreturn]] void Fail(const std::string& expected) const {
    Refuse(ErrorKind::kCorrupt, path_, expected + " in its header",
           fmt::format("other text at byte {} of it", at_));
  }
  void SkipBlanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool Take(char c) {
    SkipBlanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void Want(char c) {
    if (!Take(c)) Fail(fmt::format("'{}'", c));
  }
  std::string String() {
    SkipBlanks();
    const char quote = at_ < text_.size() ? text_[at_] : ' ';
    const size_t end =
        quote == '\'' || quote == '"' ? text_.find(quote, at_ + 1) : std::string_view::npos;
    if (end == std::string_view::npos) Fail("a name in quotes");
    const std::string name(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return name;
  }
  void ReadType() {
    const std::string type = String();
    if (type != "<f4") Refuse(ErrorKind::kUnsupported, path_, "float32 ('<f4')", "another type");
  }
  void ReadOrder() {
    SkipBlanks();
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with("True")) {
      Refuse(ErrorKind::kUnsupported, path_, "rows one after another", "columns (fortran_order)");
    }
    if (!rest.starts_with("False")) Fail("fortran_order True or False");
    at_ += 5;
  }
  void ReadShape() {
    Want('(');
    while (!Take(')')) {
      shape_.push_back(Extent());
      if (Take(',')) continue;
      Want(')');
      break;
    }
    if (shape_.empty() || shape_.size() > 2) {
      Refuse(ErrorKind::kUnsupported, path_, "one or two dimensions",
             std::to_string(shape_.size()));
    }
  }
  int64_t Extent() {
    SkipBlanks();
    const size_t begin = at_;
    int64_t value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      value = value * 10 + (text_[at_++] - '0');
      if (value > kMaxExtent) Fail("sizes that a file can have");
    }
    if (at_ == begin) Fail("a size");
    return value;
  }

  std::string_view text_;
  const std::string& path_;
  size_t at_ = 0;
  std::vector<int64_t> shape_;
};

// Little-endian, `n` bytes.
uint64_t Unsigned(ByteSpan bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

NpyArray NpyArray::Open(const std::string& path) {
  return Open(OpenFile(path));
}

NpyArray NpyArray::Open(std::shared_ptr<const RandomAccessFile> file) {
  const std::string& path = file->path();
  const uint64_t size = file->size();
  std::byte head[12];
  const size_t n_head = static_cast<size_t>(std::min<uint64_t>(size, sizeof(head)));
  file->Read(0, std::span(head, n_head));
  if (n_head < sizeof(head) || std::memcmp(head, kMagic.data(), kMagic.size()) != 0) {
    Refuse(ErrorKind::kCorrupt, path, "an array in NumPy's format (.npy)", "other bytes");
  }
  const auto version = static_cast<int>(head[6]);
  if (version < 1 || version > 3) {
    Refuse(ErrorKind::kUnsupported, path, "format 1 to 3", fmt::format("format {}", version));
  }
  const size_t length_bytes = version == 1 ? 2 : 4;
  const uint64_t header_begin = 8 + length_bytes;
  const uint64_t header_bytes = Unsigned(std::span(head).subspan(8, length_bytes));
  if (header_bytes > kMaxHeaderBytes || header_bytes > size - header_begin) {
    Refuse(ErrorKind::kCorrupt, path,
           fmt::format("a header of at most {} bytes within its {}", kMaxHeaderBytes, size),
           fmt::format("{}", header_bytes));
  }
  std::string header(header_bytes, '\0');
  file->Read(header_begin, std::as_writable_bytes(std::span(header)));
  const std::vector<int64_t> shape = HeaderReader(header, path).Read();

  NpyArray array;
  array.n_rows_ = shape.size() == 2 ? shape[0] : 1;
  array.dim_ = shape.back();
  array.data_begin_ = header_begin + header_bytes;
  const uint64_t n_values = (size - array.data_begin_) / sizeof(float);
  const bool has_values = array.n_rows_ == 0 || array.dim_ == 0
                              ? n_values == 0
                              : n_values % static_cast<uint64_t>(array.dim_) == 0 &&
                                    n_values / static_cast<uint64_t>(array.dim_) ==
                                        static_cast<uint64_t>(array.n_rows_);
  if (!has_values || (size - array.data_begin_) % sizeof(float) != 0) {
    Refuse(ErrorKind::kCorrupt, path,
           fmt::format("{} x {} float32 after its header", array.n_rows_, array.dim_),
           fmt::format("{} bytes", size - array.data_begin_));
  }
  array.file_ = std::move(file);
  return array;
}

void NpyArray::ReadRow(int64_t row, std::span<float> out) const {
  MOESCOPE_CHECK(row >= 0 && row < n_rows_ && static_cast<int64_t>(out.size()) == dim_);
  file_->Read(data_begin_ + static_cast<uint64_t>(row) * out.size_bytes(),
              std::as_writable_bytes(out));
}

}  // namespace moescope::files
