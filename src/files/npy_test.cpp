#include "files/npy.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"

namespace moescope::files {
namespace {

std::string Array(const std::string& header, size_t n_values, char version = 1) {
  std::string bytes("\x93NUMPY", 6);
  bytes += version;
  bytes += '\0';
  const size_t n = header.size();
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) {
    bytes += static_cast<char>(n >> (8 * i) & 255);
  }
  bytes += header;
  for (size_t i = 0; i < n_values; ++i) {
    const auto value = static_cast<float>(i);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  return bytes;
}

std::string Header(const std::string& shape) {
  return "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }   \n";
}

NpyArray Open(const std::string& bytes) {
  return NpyArray::Open(MakeMemoryFile("x.npy", std::as_bytes(std::span(bytes))));
}

ErrorKind KindOf(const std::string& bytes) {
  try {
    Open(bytes);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("x.npy"), std::string::npos) << error.what();
    return error.kind();
  }
  ADD_FAILURE() << "no error";
  return ErrorKind::kInternal;
}

TEST(NpyArray, ReadsRowsOfAllThreeFormats) {
  for (char version : {1, 2, 3}) {
    const NpyArray array = Open(Array(Header("(2, 3)"), 6, version));
    EXPECT_EQ(array.n_rows(), 2);
    EXPECT_EQ(array.dim(), 3);
    std::vector<float> row(3);
    array.ReadRow(1, row);
    EXPECT_EQ(row, (std::vector<float>{3, 4, 5}));
  }
}

TEST(NpyArray, OneDimensionIsARow) {
  const NpyArray array = Open(Array("{\"shape\":(4,),'fortran_order':False,'descr':'<f4'}", 4));
  EXPECT_EQ(array.n_rows(), 1);
  EXPECT_EQ(array.dim(), 4);
}

TEST(NpyArray, RefusesOtherKindsOfArrays) {
  for (const char* header : {"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3)}",
                             "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': ()}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3)}"}) {
    EXPECT_EQ(KindOf(Array(header, 6)), ErrorKind::kUnsupported) << header;
  }
  EXPECT_EQ(KindOf(Array(Header("(2, 3)"), 6, 4)), ErrorKind::kUnsupported);
}

TEST(NpyArray, RefusesMalformedFiles) {
  for (const char* header :
       {"", "{", "{}", "}", "{'descr'", "{'descr': '<f4'}", "{'shape': (2, 3)", "[1]",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'descr': '<f4', 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3)}"}) {
    EXPECT_EQ(KindOf(Array(header, 6)), ErrorKind::kCorrupt) << header;
  }
}

TEST(NpyArray, RefusesAFileCutAnywhereOrWithMoreBehindIt) {
  const std::string whole = Array(Header("(2, 3)"), 6);
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_EQ(KindOf(whole.substr(0, n)), ErrorKind::kCorrupt) << n;
  }
  EXPECT_EQ(KindOf(whole + "x"), ErrorKind::kCorrupt);
  EXPECT_EQ(KindOf(whole + "xxxx"), ErrorKind::kCorrupt);
  std::string long_header = whole;
  long_header[9] = '\x7f';
  EXPECT_EQ(KindOf(long_header), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace moescope::files
