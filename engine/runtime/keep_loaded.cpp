#include "engine/runtime/keep_loaded.hpp"

#include <dlfcn.h>
#include <oneapi/tbb/version.h>

#include <atomic>

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
    // Twice is as good as once. No guard: a thread that held it would wait for the loader's lock, and one that is within dlopen(),
    // in an initializer that calls the library, for the guard.
    static constinit std::atomic<bool> done = false;
    if (done.load(std::memory_order_acquire)) return;
    keep_object_of(reinterpret_cast<const void*>(&keep_loaded));
    keep_object_of(reinterpret_cast<const void*>(&TBB_runtime_interface_version));
    done.store(true, std::memory_order_release);
}

}  // namespace headwise::runtime
