// Models in files: of their own, or inside a larger one, as the assets of an Android package are.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "model.h"

namespace lr {

namespace {

// FlatBuffers reads scalars in place; the largest have 8 bytes.
constexpr int64_t kScalarAlignment = 8;

struct Mapping {
  void* data = MAP_FAILED;
  size_t size = 0;
  ~Mapping() {
    if (data != MAP_FAILED) munmap(data, size);
  }
};

struct FileDescriptor {
  int fd;
  ~FileDescriptor() {
    if (fd >= 0) close(fd);
  }
};

// A part of an open file, and how messages name it.
struct Region {
  int fd;
  int64_t offset;
  int64_t length;
  std::string name;
};

std::shared_ptr<Model> map_model(const Region& region) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t skipped = region.offset % page;
  if (region.length > PTRDIFF_MAX - page) {
    fail(LR_ERROR_MEMORY, "%s: %lld bytes are more than this machine can address", region.name.c_str(),
         static_cast<long long>(region.length));
  }
  auto mapping = std::make_shared<Mapping>();
  mapping->size = static_cast<size_t>(region.length + skipped);
  mapping->data = mmap(nullptr, mapping->size, PROT_READ, MAP_PRIVATE, region.fd, region.offset - skipped);
  if (mapping->data == MAP_FAILED) {
    fail(LR_ERROR_FILE, "%s: cannot be mapped: %s", region.name.c_str(), std::strerror(errno));
  }
  const char* bytes = static_cast<const char*>(mapping->data) + skipped;
  const size_t size = static_cast<size_t>(region.length);
  try {
    if (region.offset % kScalarAlignment == 0) {
      return std::make_shared<Model>(bytes, size, mapping, region.name, /*mapped=*/true);
    }
    const Buffer copy = allocate_buffer(size);
    std::memcpy(copy.get(), bytes, size);
    return std::make_shared<Model>(copy.get(), size, copy, region.name);
  } catch (const Error& error) {
    throw Error(error.status(), region.name + ": " + error.what());
  }
}

}  // namespace

std::shared_ptr<Model> load_model_file(const std::string& path) {
  const FileDescriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info;
  if (file.fd < 0 || fstat(file.fd, &info) != 0) {
    fail(LR_ERROR_FILE, "%s: cannot be opened: %s", path.c_str(), std::strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) fail(LR_ERROR_FILE, "%s: is not a file", path.c_str());
  if (info.st_size == 0) fail(LR_ERROR_FORMAT, "%s: the file is empty", path.c_str());
  return map_model({file.fd, 0, info.st_size, path});
}

std::shared_ptr<Model> load_model_region(int fd, int64_t offset, int64_t length) {
  const std::string name = formatted("file descriptor %d", fd);
  struct stat info;
  if (fstat(fd, &info) != 0) fail(LR_ERROR_FILE, "%s: %s", name.c_str(), std::strerror(errno));
  if (!S_ISREG(info.st_mode)) fail(LR_ERROR_FILE, "%s: is not a file", name.c_str());
  const int64_t size = info.st_size;
  if (offset < 0 || offset > size) {
    fail(LR_ERROR_ARGUMENT, "%s: offset %lld is not inside the file of %lld bytes", name.c_str(),
         static_cast<long long>(offset), static_cast<long long>(size));
  }
  const int64_t rest = size - offset;
  if (length < -1 || length > rest) {
    fail(LR_ERROR_ARGUMENT, "%s: length %lld is not within the %lld bytes behind offset %lld", name.c_str(),
         static_cast<long long>(length), static_cast<long long>(rest), static_cast<long long>(offset));
  }
  const int64_t bytes = length < 0 ? rest : length;
  if (bytes == 0) fail(LR_ERROR_FORMAT, "%s: a model of 0 bytes", name.c_str());
  return map_model({fd, offset, bytes, name});
}

}  // namespace lr
