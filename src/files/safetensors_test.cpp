#include "files/safetensors.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "files/tiny_model.h"

namespace moescope::files {
namespace {

SafetensorsFile OpenBytes(const std::string& bytes) {
  return SafetensorsFile(MakeMemoryFile("t.safetensors", AsBytes(bytes)));
}

std::string WithHeader(const std::string& header, size_t data_bytes) {
  ByteWriter out;
  out.Number(static_cast<uint64_t>(header.size()));
  out.Raw(header);
  return out.bytes() + std::string(data_bytes, '\0');
}

TEST(Safetensors, ReadsFloatsAndIntegersOfEveryWidth) {
  std::string bytes =
      WriteSafetensors({{"f32", "F32", {2}, std::string("\0\0\x80\x3f\0\0\0\xc0", 8)},
                        {"f16", "F16", {1}, std::string("\0\x3c", 2)},
                        {"bf16", "BF16", {1, 1}, std::string("\x80\x3f", 2)},
                        {"i32", "I32", {2}, std::string("\x07\0\0\0\xff\xff\xff\xff", 8)},
                        {"scalar", "I64", {}, std::string("\x05\0\0\0\0\0\0\0", 8)},
                        {"empty", "F32", {0, 4}, ""}});
  SafetensorsFile file = OpenBytes(bytes);
  EXPECT_EQ(file.tensors().size(), 6u);
  EXPECT_EQ(file.ReadFloats("f32"), (std::vector<float>{1, -2}));
  EXPECT_EQ(file.ReadFloats("f16"), std::vector<float>{1});
  EXPECT_EQ(file.ReadFloats("bf16"), std::vector<float>{1});
  EXPECT_EQ(file.ReadInts("i32"), (std::vector<int64_t>{7, -1}));
  EXPECT_EQ(file.ReadInts("scalar"), std::vector<int64_t>{5});
  EXPECT_TRUE(file.ReadFloats("empty").empty());
  EXPECT_EQ(file.Find("none"), nullptr);
  EXPECT_THROW(file.ReadFloats("i32"), Error);
  EXPECT_THROW(file.ReadInts("none"), Error);
}

TEST(Safetensors, RefusesHeadersThatContradictThemselves) {
  const std::string a = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  EXPECT_NO_THROW(OpenBytes(WithHeader(a + "}", 8)));
  const std::string bad[] = {
      WithHeader(a + "}", 7),  // tensor past the end of the file
      WithHeader(a + "}", 9),  // data that no tensor covers
      WithHeader(a + R"(,"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}})", 8),     // twice
      WithHeader(a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8),     // overlap
      WithHeader(a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})", 16),  // gap
      WithHeader(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8),
      WithHeader(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8),
      WithHeader(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8),
      WithHeader(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8),
      WithHeader(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})",
                 0),
      WithHeader(R"({"a":{"dtype":"F32","shape":[1,1,1,1,2],"data_offsets":[0,8]}})", 8),
      WithHeader(R"({"a":{"dtype":"F32","shape":[2]}})", 8),
      WithHeader(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", 8),
      WithHeader(R"({"a":{"dtype":"F77","shape":[2],"data_offsets":[0,8]}})", 8),
      WithHeader(R"({"__metadata__":{"a":1}})", 0),
      WithHeader(R"({"__metadata__":{"a":")" + std::string(2 << 20, 'a') + "\"}}", 0),
      WithHeader("{" + std::string(1 << 20, ' ') + "}", 0),
      WithHeader(
          "{\"" + std::string(300, 'n') + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
          0),
      WithHeader(R"([])", 0),
      WithHeader("", 0),
      std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10),
      std::string("\1\0\0", 3),
  };
  for (const std::string& bytes : bad)
    EXPECT_THROW(OpenBytes(bytes), Error) << bytes.substr(0, 100);
}

}  // namespace
}  // namespace moescope::files
