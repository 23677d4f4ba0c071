#include "engine/runtime/itt.hpp"

#if HEADWISE_ITT
#include <ittnotify.h>
#endif

namespace headwise::runtime {

#if HEADWISE_ITT

namespace {

const __itt_domain* domain() noexcept {
    static const __itt_domain* const instance = __itt_domain_create("headwise");
    return instance;
}

}  // namespace

// Creating the domain looks for a collector. Without one the pointer to its function is null from then on.
bool itt_collects() noexcept {
    return domain() && domain()->flags && __itt_task_begin_ptr;
}

IttTasks::IttTasks(const char* operation) noexcept {
    name_ = __itt_string_handle_create(operation);
}

void IttTasks::begin() const noexcept {
    __itt_task_begin(domain(), __itt_null, __itt_null, static_cast<__itt_string_handle*>(name_));
}

void IttTasks::end() const noexcept {
    __itt_task_end(domain());
}

#else

bool itt_collects() noexcept {
    return false;
}
IttTasks::IttTasks(const char*) noexcept {}
void IttTasks::begin() const noexcept {}
void IttTasks::end() const noexcept {}

#endif

}  // namespace headwise::runtime
