// The documents of one file: which formats there are, and a reader for text and JSON lines.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "text/byte_stream.h"
#include "text/document.h"
#include "text/record_reader.h"

namespace moescope::text {

enum class FileFormat { kText, kJsonLines, kParquet };

struct FileType {
  FileFormat format;
  Compression compression;
};

// By the end of the name, letter case aside: .txt, .jsonl or .parquet, then .gz, .xz or .zst.
std::optional<FileType> FileTypeOf(const std::string& name);
// The name without those endings.
std::string StemOf(const std::string& name);

// What one file delivers. Not thread-safe.
class DocumentFile {
 public:
  virtual ~DocumentFile() = default;
  virtual bool Next(Document& document) = 0;
  virtual uint64_t bytes_read() const = 0;
  // Whether the document delivered last holds bytes that are not UTF-8.
  virtual bool last_is_broken() const { return false; }
};

// Where a file's documents come from and how they are called.
struct FilePlace {
  std::string path;    // for messages
  std::string source;  // name inside the data set
};

// A text of more than 1 GiB, or a line of more than 256 MiB, is refused: Error(kBadInput).
constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;
constexpr uint64_t kMaxLineBytes = uint64_t{1} << 28;

// The whole stream as one document; none if it is empty.
std::unique_ptr<DocumentFile> ReadTextFile(const DataSpec& spec, FilePlace place,
                                           std::unique_ptr<ByteStream> stream);
// A document a line; blank lines and empty texts are passed over.
std::unique_ptr<DocumentFile> ReadJsonLines(const DataSpec& spec, FilePlace place,
                                            std::unique_ptr<ByteStream> stream);

}  // namespace moescope::text
