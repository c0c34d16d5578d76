#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "base/error.h"
#include "text/document.h"
#include "text/document_file.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kKnownFormats =
    ".txt, .jsonl or .parquet, the first two also with .gz, .xz or .zst";

// One file of a data set.
struct InputEntry {
  FilePlace place;
  FileType type = {FileFormat::kText, Compression::kNone};
  uint64_t n_bytes = 0;
};

// A data set with its files in reading order.
struct DataSet {
  DataSpec spec;
  std::vector<InputEntry> entries;
  uint64_t n_passed_over = 0;  // files of a folder that are no documents
  std::string first_passed_over;
};

[[noreturn]] void RefuseFile(const std::string& path, std::string_view found) {
  throw Error(ErrorKind::kBadInput, fmt::format("cannot read documents: {}: expected {}, found {}",
                                                path, kKnownFormats, found));
}

void CheckType(const DataSpec& spec, const InputEntry& entry, bool can_read_parquet) {
  const std::string& path = entry.place.path;
  if (entry.type.format == FileFormat::kParquet) {
    if (entry.type.compression != Compression::kNone) {
      RefuseFile(path, "Parquet compressed once more; decompress it first");
    }
    if (!can_read_parquet) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("cannot read documents: {}: Parquet is not read here", path));
    }
  }
  if (entry.type.format == FileFormat::kText && !spec.unit_field.empty() &&
      spec.unit_field != "-") {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot take units by field '{}': {}: a text file has no fields; use "
                            "--unit-by {}=- for one unit",
                            spec.unit_field, path, spec.name));
  }
}

// Files of a folder, at any depth, in byte order of their paths; hidden ones are left out.
void ListFolder(const fs::path& folder, DataSet& data) {
  std::error_code error;
  fs::recursive_directory_iterator walk(folder, error);
  for (; !error && walk != fs::end(walk); walk.increment(error)) {
    const std::string name = walk->path().filename().string();
    std::error_code status_error;
    const bool is_folder = walk->is_directory(status_error);
    if (name.starts_with('.')) {
      if (is_folder) walk.disable_recursion_pending();
      continue;
    }
    if (is_folder) continue;
    const std::string relative = walk->path().lexically_relative(folder).generic_string();
    const auto type = FileTypeOf(name);
    if (!type || !walk->is_regular_file(status_error)) {
      ++data.n_passed_over;
      if (data.first_passed_over.empty() || relative < data.first_passed_over) {
        data.first_passed_over = relative;
      }
      continue;
    }
    data.entries.push_back(
        {{walk->path().string(), relative}, *type, walk->file_size(status_error)});
  }
  if (error) {
    throw Error(ErrorKind::kIo,
                fmt::format("cannot list folder: {}: {}", folder.string(), error.message()));
  }
  std::sort(data.entries.begin(), data.entries.end(), [](const InputEntry& a, const InputEntry& b) {
    return a.place.source < b.place.source;
  });
  if (data.entries.empty()) RefuseFile(folder.string(), "a folder without such files");
}

void ListInput(const DataSpec& spec, DataSet& data) {
  if (spec.path == "-" || spec.path.starts_with("-.")) {
    const auto type = FileTypeOf(spec.path == "-" ? "-.txt" : spec.path);
    if (!type || type->format == FileFormat::kParquet) RefuseFile(spec.path, "another ending");
    data.entries.push_back({{"-", "stdin"}, *type, 0});
    return;
  }
  std::error_code error;
  const fs::path path(spec.path);
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("cannot read documents of '{}': {}: no such file or folder", spec.name,
                            spec.path));
  }
  if (fs::is_directory(status)) return ListFolder(path, data);
  const std::string name = path.filename().string();
  const auto type = FileTypeOf(name);
  if (!type) RefuseFile(spec.path, "another ending");
  const uint64_t n_bytes = fs::is_regular_file(status) ? fs::file_size(path, error) : 0;
  data.entries.push_back({{spec.path, name}, *type, error ? 0 : n_bytes});
}

// Parquet through the caller's reader.
class ForeignFile : public DocumentFile {
 public:
  explicit ForeignFile(std::unique_ptr<DocumentSource> source) : source_(std::move(source)) {}
  bool Next(Document& document) override { return source_->Next(document); }
  uint64_t bytes_read() const override { return source_->bytes_read(); }

 private:
  std::unique_ptr<DocumentSource> source_;
};

class AllDocuments : public DocumentSource {
 public:
  AllDocuments(std::vector<DataSet> data, ParquetOpener open_parquet)
      : data_(std::move(data)), open_parquet_(std::move(open_parquet)) {
    for (const DataSet& set : data_) {
      for (const InputEntry& entry : set.entries) n_total_ += entry.n_bytes;
    }
    for (const DataSet& set : data_) {
      if (set.n_passed_over == 0) continue;
      warnings_.push_back(fmt::format("{}: {} file(s) of {} passed over, not {} (first: {})",
                                      set.spec.name, set.n_passed_over, set.spec.path,
                                      kKnownFormats, set.first_passed_over));
    }
  }

  bool Next(Document& document) override {
    while (set_ < data_.size()) {
      if (file_ == nullptr && !OpenNextFile()) {
        FinishSet();
      } else if (file_->Next(document)) {
        ++n_in_set_;
        NoteBroken(document);
        return true;
      } else {
        CloseFile();
      }
    }
    return false;
  }

  uint64_t bytes_read() const override {
    return n_finished_ + (file_ == nullptr ? 0 : file_->bytes_read());
  }
  uint64_t bytes_total() const override { return n_total_; }
  std::vector<std::string> Warnings() const override {
    std::vector<std::string> all = warnings_;
    if (n_broken_ > 0) all.push_back(BrokenWarning());  // of the data set being read
    return all;
  }

 private:
  bool OpenNextFile() {
    const DataSet& set = data_[set_];
    if (entry_ == set.entries.size()) return false;
    const InputEntry& entry = set.entries[entry_++];
    if (entry.type.format == FileFormat::kParquet) {
      file_ = std::make_unique<ForeignFile>(open_parquet_(set.spec, entry.place.path));
      return true;
    }
    auto stream = OpenByteStream(entry.place.path, entry.type.compression);
    const auto read = entry.type.format == FileFormat::kText ? ReadTextFile : ReadJsonLines;
    file_ = read(set.spec, entry.place, std::move(stream));
    return true;
  }

  void CloseFile() {
    n_finished_ += file_->bytes_read();
    file_.reset();
  }

  void NoteBroken(const Document& document) {
    if (!file_->last_is_broken()) return;
    if (n_broken_++ == 0) first_broken_ = document.source;
  }

  std::string BrokenWarning() const {
    return fmt::format(
        "{}: {} document(s) hold bytes that are not UTF-8, kept as byte tokens (first: {})",
        data_[set_].spec.name, n_broken_, first_broken_);
  }

  void FinishSet() {
    const DataSpec& spec = data_[set_].spec;
    if (n_in_set_ == 0) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("data set '{}' is empty: {}: expected at least one document with "
                              "text, found none",
                              spec.name, spec.path));
    }
    if (n_broken_ > 0) warnings_.push_back(BrokenWarning());
    ++set_;
    entry_ = n_in_set_ = n_broken_ = 0;
  }

  std::vector<DataSet> data_;
  ParquetOpener open_parquet_;
  std::vector<std::string> warnings_;
  size_t set_ = 0, entry_ = 0;  // being read; entry_ is the next file to open
  std::unique_ptr<DocumentFile> file_;
  uint64_t n_in_set_ = 0;
  uint64_t n_broken_ = 0;
  std::string first_broken_;
  uint64_t n_finished_ = 0, n_total_ = 0;  // bytes
};

void CheckName(const std::string& name) {
  const bool control = std::any_of(
      name.begin(), name.end(), [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7F; });
  if (name.empty() || name.size() > 200 || control ||
      FindBrokenUtf8(name) != std::string_view::npos) {
    throw Error(ErrorKind::kBadInput,
                "cannot use data set name: expected 1 to 200 bytes of printable UTF-8; write "
                "--data NAME=PATH");
  }
}

}  // namespace

DataSpec ParseDataSpec(const std::string& argument) {
  DataSpec spec;
  const size_t equals = argument.find('=');
  // A '/' before the '=' is part of a path.
  const bool named = equals != std::string::npos && argument.find('/') > equals;
  spec.path = named ? argument.substr(equals + 1) : argument;
  if (spec.path.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot read --data '{}': expected NAME=PATH or PATH", argument));
  }
  if (named) {
    spec.name = argument.substr(0, equals);
  } else if (spec.path == "-" || spec.path.starts_with("-.")) {
    spec.name = "stdin";
  } else {
    fs::path path = fs::path(spec.path).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();  // "folder/"
    spec.name = StemOf(path.filename().string());
  }
  CheckName(spec.name);
  return spec;
}

std::unique_ptr<DocumentSource> OpenDocuments(const std::vector<DataSpec>& specs,
                                              ParquetOpener open_parquet) {
  if (specs.empty()) {
    throw Error(ErrorKind::kBadInput, "no documents to read: expected --data NAME=PATH");
  }
  std::vector<DataSet> data;
  std::set<std::string> names;
  bool uses_stdin = false;
  for (const DataSpec& spec : specs) {
    CheckName(spec.name);
    if (!names.insert(spec.name).second) {
      throw Error(
          ErrorKind::kBadInput,
          fmt::format("two data sets are named '{}': give one another name, NAME=PATH", spec.name));
    }
    DataSet set{.spec = spec, .entries = {}, .first_passed_over = {}};
    ListInput(spec, set);
    for (const InputEntry& entry : set.entries) {
      CheckType(spec, entry, open_parquet != nullptr);
      if (entry.place.path != "-") continue;
      if (uses_stdin) {
        throw Error(ErrorKind::kBadInput, "two data sets read standard input: only one can");
      }
      uses_stdin = true;
    }
    RecordReader check_template(spec);
    data.push_back(std::move(set));
  }
  return std::make_unique<AllDocuments>(std::move(data), std::move(open_parquet));
}

}  // namespace moescope::text
