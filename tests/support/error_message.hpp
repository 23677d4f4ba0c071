#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "headwise/error.hpp"

namespace headwise::test {

constexpr const char* kNoError = "no error";

/// What the Error says that the call throws; kNoError if it throws none.
template <class Call>
std::string message_of(const Call& call) {
    try {
        call();
    } catch (const Error& error) {
        return error.what();
    }
    return kNoError;
}

/// The kind of the Error that the call throws.
template <class Call>
ErrorKind kind_of(const Call& call) {
    try {
        call();
    } catch (const Error& error) {
        return error.kind();
    }
    FAIL("no error");
    return ErrorKind::argument;
}

/// `message` holds all of `parts`.
inline void check_message(const std::string& message, const std::vector<std::string>& parts) {
    CAPTURE(message);
    for (const std::string& part : parts) CHECK_MESSAGE(message.find(part) != std::string::npos, "not in the message: ", part);
}

/// The call throws an Error that says all of `parts`.
template <class Call>
void check_error(const Call& call, const std::vector<std::string>& parts) {
    check_message(message_of(call), parts);
}

}  // namespace headwise::test
