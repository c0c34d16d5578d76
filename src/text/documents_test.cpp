#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "text/document.h"

namespace moescope::text {
namespace {

namespace fs = std::filesystem;

class Documents : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "documents_test_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& bytes) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
  }

  // One file, compressed as its name's last ending says.
  std::string WriteCompressed(const std::string& name, const std::string& bytes) {
    const std::string path = (folder_ / name).string();
    archive* out = archive_write_new();
    if (name.ends_with(".gz")) archive_write_add_filter_gzip(out);
    if (name.ends_with(".xz")) archive_write_add_filter_xz(out);
    if (name.ends_with(".zst")) archive_write_add_filter_zstd(out);
    archive_write_set_format_raw(out);
    archive_write_open_filename(out, path.c_str());
    archive_entry* entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_write_header(out, entry);
    archive_write_data(out, bytes.data(), bytes.size());
    archive_entry_free(entry);
    archive_write_free(out);
    return path;
  }

  static std::vector<Document> ReadAll(const std::vector<DataSpec>& specs,
                                       std::vector<std::string>* warnings = nullptr) {
    const auto source = OpenDocuments(specs);
    std::vector<Document> all;
    for (Document document; source->Next(document);) all.push_back(document);
    if (warnings != nullptr) *warnings = source->Warnings();
    return all;
  }
  static DataSpec Spec(const std::string& path) {
    return {.name = "set", .path = path, .unit_field = {}, .text_template = {}};
  }
  static std::string Failure(const DataSpec& spec, ErrorKind kind) {
    try {
      ReadAll({spec});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "no error for " << spec.path;
    return "";
  }
  static bool Has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  fs::path folder_;
};

TEST_F(Documents, OfATextFileAreOne) {
  const auto all = ReadAll({Spec(Write("a.txt", "\xEF\xBB\xBFone\r\ntwo\r"))});
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].text, "one\ntwo\r");
  EXPECT_EQ(all[0].source, "a.txt");
  EXPECT_EQ(all[0].unit, "a.txt");
  DataSpec raw = Spec((folder_ / "a.txt").string());
  raw.raw = true;
  EXPECT_EQ(ReadAll({raw})[0].text, "\xEF\xBB\xBFone\r\ntwo\r");
}

TEST_F(Documents, OfJsonLinesAreOneALine) {
  const auto all = ReadAll({Spec(Write(
      "a.jsonl", "\xEF\xBB\xBF{\"text\": \"x\"}\r\n\n \t\n{\"text\": \"\"}\n{\"text\": \"y\"}"))});
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].source, "a.jsonl:1");
  EXPECT_EQ(all[1].text, "y");
  EXPECT_EQ(all[1].unit, "a.jsonl:5");
}

TEST_F(Documents, AreReadThroughEachCompression) {
  std::string lines;
  for (int i = 0; i < 50000; ++i) lines += "{\"text\": \"line " + std::to_string(i) + "\"}\n";
  for (const char* name : {"a.jsonl.gz", "b.jsonl.xz", "c.jsonl.zst"}) {
    const std::string path = WriteCompressed(name, lines);
    const auto source = OpenDocuments({Spec(path)});
    int n = 0;
    for (Document document; source->Next(document); ++n) {
      ASSERT_EQ(document.text, "line " + std::to_string(n));
    }
    EXPECT_EQ(n, 50000);
    EXPECT_EQ(source->bytes_total(), fs::file_size(path));
    EXPECT_EQ(source->bytes_read(), fs::file_size(path));
  }
  EXPECT_EQ(ReadAll({Spec(WriteCompressed("d.txt.xz", "text"))})[0].text, "text");
}

TEST_F(Documents, OfTruncatedCompressedFilesAreRefused) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += std::to_string(i * 7919 % 10007);
  for (const char* name : {"a.txt.gz", "b.txt.xz", "c.txt.zst"}) {
    const std::string path = WriteCompressed(name, text);
    const uint64_t size = fs::file_size(path);
    for (const uint64_t kept : {size - 1, size / 2, uint64_t{7}, uint64_t{1}, uint64_t{0}}) {
      fs::resize_file(path, kept);
      const std::string message = Failure(Spec(path), ErrorKind::kCorrupt);
      EXPECT_TRUE(Has(message, path)) << message;
    }
  }
}

TEST_F(Documents, OfDamagedCompressedFilesAreRefused) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += std::to_string(i * 7919 % 10007);
  // Gzip and xz carry checksums; zstd as written here does not, so only its structure is damaged.
  for (const char* name : {"a.txt.gz", "b.txt.xz"}) {
    const std::string path = WriteCompressed(name, text);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(path) / 2));
    file << "\x55\xAA\x55\xAA";
    file.close();
    EXPECT_TRUE(Has(Failure(Spec(path), ErrorKind::kCorrupt), path));
  }
}

TEST_F(Documents, OfSeveralCompressedPiecesOneAfterTheOtherAreReadThrough) {
  for (const char* name : {"a.txt.gz", "b.txt.xz", "c.txt.zst"}) {
    const std::string path = WriteCompressed(name, "one ");
    std::ifstream first(path, std::ios::binary);
    const std::string piece{std::istreambuf_iterator<char>(first), {}};
    EXPECT_EQ(ReadAll({Spec(Write(name, piece + piece + piece))})[0].text, "one one one ");
  }
}

TEST_F(Documents, OfFilesThatAreNotWhatTheirNameSaysAreRefused) {
  const std::string plain(1000, 'x');
  for (const char* name : {"a.txt.gz", "b.jsonl.xz", "c.txt.zst"}) {
    Failure(Spec(Write(name, plain)), ErrorKind::kCorrupt);
  }
  fs::rename(WriteCompressed("x.txt.gz", plain), folder_ / "y.txt.xz");
  Failure(Spec((folder_ / "y.txt.xz").string()), ErrorKind::kCorrupt);
  for (const char* name : {"a.zip", "b.tar.gz", "c.pdf", "d"}) {
    EXPECT_TRUE(Has(Failure(Spec(Write(name, plain)), ErrorKind::kBadInput), ".jsonl"));
  }
  EXPECT_TRUE(Has(Failure(Spec(Write("a.parquet.gz", plain)), ErrorKind::kBadInput), "Parquet"));
}

TEST_F(Documents, OfAFolderComeInByteOrderWithoutHiddenFiles) {
  Write("set/b.txt", "2");
  Write("set/B.txt", "1");
  Write("set/c/a.jsonl", "{\"text\": \"3\"}\n{\"text\": \"4\"}");
  Write("set/c.txt", "0");
  Write("set/.hidden.txt", "no");
  Write("set/.git/x.txt", "no");
  Write("set/README.md", "no");
  std::vector<std::string> warnings;
  const auto all = ReadAll({Spec((folder_ / "set").string())}, &warnings);
  std::vector<std::string> sources;
  for (const Document& document : all) sources.push_back(document.source);
  EXPECT_EQ(sources,
            (std::vector<std::string>{"B.txt", "b.txt", "c.txt", "c/a.jsonl:1", "c/a.jsonl:2"}));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(Has(warnings[0], "README.md")) << warnings[0];
}

TEST_F(Documents, WithBrokenUtf8AreKeptFromTextAndCounted) {
  std::vector<std::string> warnings;
  const auto all = ReadAll({Spec(Write("a.txt", "x\xFFy"))}, &warnings);
  EXPECT_EQ(all[0].text, "x\xFFy");
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(Has(warnings[0], "a.txt")) << warnings[0];
}

TEST_F(Documents, WithBrokenJsonNameFileAndLine) {
  const std::string path = Write("a.jsonl", "{\"text\": \"x\"}\n\n{\"text\": \"\xFF\"}\n");
  EXPECT_TRUE(Has(Failure(Spec(path), ErrorKind::kCorrupt), path + ":3"));
}

TEST_F(Documents, OfAnEmptyDataSetAreAnError) {
  EXPECT_TRUE(Has(Failure(Spec(Write("a.txt", "")), ErrorKind::kBadInput), "empty"));
  EXPECT_TRUE(Has(Failure(Spec(Write("a.jsonl", "\n\n")), ErrorKind::kBadInput), "empty"));
  EXPECT_TRUE(Has(Failure(Spec(WriteCompressed("a.txt.xz", "")), ErrorKind::kBadInput), "empty"));
  fs::create_directory(folder_ / "nothing");
  Failure(Spec((folder_ / "nothing").string()), ErrorKind::kBadInput);
}

TEST_F(Documents, ThatCannotBeReadAreRefusedAtOnce) {
  EXPECT_THROW(OpenDocuments({}), Error);
  EXPECT_TRUE(Has(Failure(Spec((folder_ / "no.txt").string()), ErrorKind::kNotFound), "no.txt"));
  const DataSpec spec = Spec(Write("a.txt", "x"));
  EXPECT_THROW(OpenDocuments({spec, spec}), Error);  // the same name twice
  DataSpec by_field = spec;
  by_field.unit_field = "repo";
  EXPECT_THROW(OpenDocuments({by_field}), Error);  // a text has no fields
  DataSpec bad_template = Spec(Write("b.jsonl", "{}"));
  bad_template.text_template = "{";
  EXPECT_THROW(OpenDocuments({bad_template}), Error);
}

TEST_F(Documents, OfParquetComeFromTheCallersReader) {
  class TwoRows : public DocumentSource {
   public:
    bool Next(Document& document) override {
      document.text = "row";
      return ++n_ <= 2;
    }
    uint64_t bytes_read() const override { return 5; }
    uint64_t bytes_total() const override { return 5; }

   private:
    int n_ = 0;
  };
  const DataSpec spec = Spec(Write("a.parquet", "PAR1x"));
  std::string opened;
  const auto source = OpenDocuments({spec}, [&](const DataSpec&, const std::string& path) {
    opened = path;
    return std::make_unique<TwoRows>();
  });
  Document document;
  EXPECT_TRUE(source->Next(document));
  EXPECT_TRUE(source->Next(document));
  EXPECT_FALSE(source->Next(document));
  EXPECT_EQ(opened, spec.path);
  EXPECT_EQ(source->bytes_read(), 5u);
  Failure(spec, ErrorKind::kUnsupported);
}

TEST(DataSpecs, AreReadFromArguments) {
  EXPECT_EQ(ParseDataSpec("code=dir/a.jsonl").name, "code");
  EXPECT_EQ(ParseDataSpec("code=dir/a=b.txt").path, "dir/a=b.txt");
  EXPECT_EQ(ParseDataSpec("dir/a=b.txt").path, "dir/a=b.txt");
  EXPECT_EQ(ParseDataSpec("dir/a.valid.jsonl.xz").name, "a.valid");
  EXPECT_EQ(ParseDataSpec("some/folder/").name, "folder");
  EXPECT_EQ(ParseDataSpec("-").name, "stdin");
  EXPECT_EQ(ParseDataSpec("x=-").path, "-");
  for (const char* argument : {"", "=a.txt", "x=", "a\nb=c.txt"}) {
    EXPECT_THROW(ParseDataSpec(argument), Error) << argument;
  }
}

}  // namespace
}  // namespace moescope::text
