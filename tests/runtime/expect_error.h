// A call must throw an Error of one code whose message has a text.
#pragma once
#include <fornax/error.h>
#include <gtest/gtest.h>

#include <string>

namespace fornax {

template <class Call>
void expect_error(ErrorCode code, const std::string& text, const Call& call) {
  try {
    call();
    ADD_FAILURE() << "accepted, but should say: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos)
        << error.what() << "\nshould have: " << text;
  }
}

}  // namespace fornax
