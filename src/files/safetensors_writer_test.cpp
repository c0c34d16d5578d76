#include "files/safetensors_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/platform/file.h"
#include "files/safetensors.h"
#include "files/tiny_model.h"

namespace moescope::files {
namespace {

std::string TemporaryPath(const std::string& name) {
  return testing::TempDir() + name + "." + std::to_string(getpid());
}

const std::vector<float> kValues = {1, -2, 3.5f, 0, 5, 6};

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const std::string path = TemporaryPath("written.safetensors");
  SafetensorsWriter writer;
  writer.DeclareTensor("a.weight", DType::kF32, {2, 3});
  writer.DeclareTensor("odd \"name\"", DType::kBF16, {3});
  writer.DeclareTensor("none", DType::kF16, {0});
  writer.Begin(path);
  const ByteSpan bytes = std::as_bytes(std::span(kValues));
  writer.Append(bytes.first(10));
  writer.Append(bytes.subspan(10));
  const uint16_t halves[] = {0x3f80, 0x4000, 0xc000};  // 1, 2, -2
  EXPECT_FALSE(std::filesystem::exists(path));
  writer.Append(std::as_bytes(std::span(halves)));
  writer.Commit();
  EXPECT_EQ(std::filesystem::file_size(path), writer.TotalBytes());
  const SafetensorsFile file = SafetensorsFile::Open(path);
  EXPECT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.header_bytes() % 8, 0u);
  ASSERT_NE(file.Find("a.weight"), nullptr);
  EXPECT_EQ(file.Find("a.weight")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.ReadFloats("a.weight"), kValues);
  EXPECT_EQ(file.ReadFloats("odd \"name\""), (std::vector<float>{1, 2, -2}));
  std::filesystem::remove(path);
}

TEST(SafetensorsWriter, WritesTheBytesOfAFileWrittenByHand) {
  const std::string path = TemporaryPath("tiny.safetensors");
  SafetensorsWriter writer;
  for (const TinyTensor& tensor : TinyTensors()) {
    writer.DeclareTensor(tensor.name, DType::kBF16, tensor.shape);
  }
  writer.Begin(path);
  for (const TinyTensor& tensor : TinyTensors()) writer.Append(AsBytes(tensor.bytes));
  writer.Commit();
  EXPECT_EQ(ReadWholeFile(path, 1 << 24), TinySafetensors());
  std::filesystem::remove(path);
}

TEST(SafetensorsWriter, AnUnfinishedFileIsNotCommittedAndLeavesNothing) {
  const std::string path = TemporaryPath("unfinished.safetensors");
  {
    SafetensorsWriter writer;
    writer.DeclareTensor("a", DType::kF32, {6});
    writer.Begin(path);
    writer.Append(std::as_bytes(std::span(kValues)).first(20));
    EXPECT_THROW(writer.Commit(), Error);
    EXPECT_THROW(writer.Append(std::as_bytes(std::span(kValues))), Error);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST(SafetensorsWriter, ADiskThatIsTooSmallIsToldBeforeWriting) {
  const std::string path = TemporaryPath("large.safetensors");
  SafetensorsWriter writer;
  writer.DeclareTensor("a", DType::kF32, {int64_t{1} << 40, 1 << 10});
  try {
    writer.Begin(path);
    FAIL() << "begun";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_NE(std::string(error.what()).find("disk full"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

}  // namespace
}  // namespace moescope::files
