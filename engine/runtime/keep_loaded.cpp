#include "engine/runtime/keep_loaded.hpp"

#include <dlfcn.h>
#include <oneapi/tbb/version.h>

namespace headwise::runtime {
namespace {

/// Of the loaded object that has this address. The program itself is none that could be unloaded: then nothing happens.
void keep_object_of(const void* address) noexcept {
    Dl_info object;
    if (dladdr(address, &object) == 0 || !object.dli_fname) return;
    // Finds the object that is loaded, by the name that it was loaded by, and marks it. The handle is for good.
    dlopen(object.dli_fname, RTLD_NOLOAD | RTLD_NODELETE | RTLD_LAZY);
}

}  // namespace

void keep_loaded() noexcept {
    [[maybe_unused]] static const bool done = [] {
        keep_object_of(reinterpret_cast<const void*>(&keep_loaded));
        keep_object_of(reinterpret_cast<const void*>(&TBB_runtime_interface_version));
        return true;
    }();
}

}  // namespace headwise::runtime
