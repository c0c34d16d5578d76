#include "text/document_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct FormatRow {
  std::string_view ending;
  FileFormat format;
};
constexpr FormatRow kFormats[] = {{".txt", FileFormat::kText},
                                  {".jsonl", FileFormat::kJsonLines},
                                  {".parquet", FileFormat::kParquet}};
struct CompressionRow {
  std::string_view ending;
  Compression compression;
};
constexpr CompressionRow kCompressions[] = {
    {".gz", Compression::kGzip}, {".xz", Compression::kXz}, {".zst", Compression::kZstd}};

std::string Lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

// The type, and how many characters of the name say so.
std::optional<std::pair<FileType, size_t>> ReadEndings(const std::string& name) {
  std::string_view rest;
  const std::string lower = Lower(name);
  rest = lower;
  Compression compression = Compression::kNone;
  for (const CompressionRow& row : kCompressions) {
    if (!rest.ends_with(row.ending)) continue;
    compression = row.compression;
    rest.remove_suffix(row.ending.size());
    break;
  }
  for (const FormatRow& row : kFormats) {
    if (!rest.ends_with(row.ending)) continue;
    return std::pair{FileType{row.format, compression},
                     name.size() - rest.size() + row.ending.size()};
  }
  return std::nullopt;
}

class TextFile : public DocumentFile {
 public:
  TextFile(const DataSpec& spec, FilePlace place, std::unique_ptr<ByteStream> stream)
      : spec_(spec), place_(std::move(place)), stream_(std::move(stream)) {}

  bool Next(Document& document) override {
    if (done_) return false;
    done_ = true;
    document = {};
    ReadAll(document.text);
    if (!spec_.raw) {
      if (document.text.starts_with(kByteOrderMark)) document.text.erase(0, kByteOrderMark.size());
      NormaliseNewlines(document.text);
    }
    broken_ = FindBrokenUtf8(document.text) != std::string_view::npos;
    document.dataset = spec_.name;
    document.source = place_.source;
    document.unit = spec_.unit_field == "-" ? spec_.name : place_.source;
    return !document.text.empty();
  }
  uint64_t bytes_read() const override { return stream_->bytes_read(); }
  bool last_is_broken() const override { return broken_; }

 private:
  void ReadAll(std::string& text) {
    std::vector<char> block(kReadBytes);
    while (const size_t n = stream_->Read(block)) {
      if (text.size() + n > kMaxTextBytes) {
        throw Error(ErrorKind::kBadInput,
                    fmt::format("cannot read text: {}: expected at most {} bytes in one document, "
                                "found more; split it into several files",
                                place_.path, kMaxTextBytes));
      }
      text.append(block.data(), n);
    }
  }

  DataSpec spec_;
  FilePlace place_;
  std::unique_ptr<ByteStream> stream_;
  bool done_ = false;
  bool broken_ = false;
};

class JsonLinesFile : public DocumentFile {
 public:
  JsonLinesFile(const DataSpec& spec, FilePlace place, std::unique_ptr<ByteStream> stream)
      : records_(spec), place_(std::move(place)), stream_(std::move(stream)) {}

  bool Next(Document& document) override {
    std::string_view line;
    while (NextLine(line)) {
      if (n_lines_ == 1 && line.starts_with(kByteOrderMark)) line.remove_prefix(3);
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      if (records_.Read(line, fmt::format("{}:{}", place_.path, n_lines_),
                        fmt::format("{}:{}", place_.source, n_lines_), document)) {
        DropHugeBuffer();
        return true;
      }
    }
    return false;
  }
  uint64_t bytes_read() const override { return stream_->bytes_read(); }

 private:
  // The next line without its LF, valid until the next call.
  bool NextLine(std::string_view& line) {
    ++n_lines_;
    size_t searched = line_start_;
    while (true) {
      const size_t newline = buffer_.find('\n', searched);
      if (newline != std::string::npos) {
        line = std::string_view(buffer_).substr(line_start_, newline - line_start_);
        line_start_ = newline + 1;
        return true;
      }
      buffer_.erase(0, line_start_);
      line_start_ = 0;
      searched = buffer_.size();
      if (!Refill()) break;
    }
    line = buffer_;
    line_start_ = buffer_.size();
    return !line.empty();
  }

  bool Refill() {
    const size_t before = buffer_.size();
    if (before > kMaxLineBytes) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("cannot read record: {}:{}: expected at most {} bytes in one line, "
                              "found more",
                              place_.path, n_lines_, kMaxLineBytes));
    }
    buffer_.resize(before + kReadBytes);
    const size_t n = stream_->Read(std::span(buffer_).subspan(before));
    buffer_.resize(before + n);
    return n > 0;
  }

  // The memory of a huge line is given back before its text is tokenised.
  void DropHugeBuffer() {
    constexpr size_t kHuge = 8 << 20;
    if (buffer_.capacity() < kHuge) return;
    buffer_ = std::string(std::string_view(buffer_).substr(line_start_));
    line_start_ = 0;
  }

  RecordReader records_;
  FilePlace place_;
  std::unique_ptr<ByteStream> stream_;
  std::string buffer_;
  size_t line_start_ = 0;
  uint64_t n_lines_ = 0;
};

}  // namespace

std::optional<FileType> FileTypeOf(const std::string& name) {
  const auto read = ReadEndings(name);
  return read ? std::optional(read->first) : std::nullopt;
}

std::string StemOf(const std::string& name) {
  const auto read = ReadEndings(name);
  return read ? name.substr(0, name.size() - read->second) : name;
}

std::unique_ptr<DocumentFile> ReadTextFile(const DataSpec& spec, FilePlace place,
                                           std::unique_ptr<ByteStream> stream) {
  return std::make_unique<TextFile>(spec, std::move(place), std::move(stream));
}

std::unique_ptr<DocumentFile> ReadJsonLines(const DataSpec& spec, FilePlace place,
                                            std::unique_ptr<ByteStream> stream) {
  return std::make_unique<JsonLinesFile>(spec, std::move(place), std::move(stream));
}

}  // namespace moescope::text
