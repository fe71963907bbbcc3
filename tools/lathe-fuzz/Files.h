// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Whole files, for the few that a corpus has.

#ifndef LATHE_TOOLS_LATHE_FUZZ_FILES_H
#define LATHE_TOOLS_LATHE_FUZZ_FILES_H

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace lathe::fuzz {

inline std::string readFile(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void writeFile(const std::filesystem::path &path,
                      const std::string &bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// What is in a folder, by name, so that rounds mean the same everywhere.
inline std::vector<std::filesystem::path>
listFolder(const std::filesystem::path &folder) {
  std::vector<std::filesystem::path> paths;
  std::error_code code;
  for (const auto &entry : std::filesystem::directory_iterator(folder, code))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// The contents of all files in `folder` whose names end in `suffix`.
inline std::vector<std::string> readFiles(const std::filesystem::path &folder,
                                          const std::string &suffix) {
  std::vector<std::string> contents;
  for (const std::filesystem::path &path : listFolder(folder))
    if (path.extension() == suffix)
      contents.push_back(readFile(path));
  return contents;
}

} // namespace lathe::fuzz

#endif // LATHE_TOOLS_LATHE_FUZZ_FILES_H
