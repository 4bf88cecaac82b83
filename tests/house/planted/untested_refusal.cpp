// Two refusals whose messages tests expect, and one that none does.
void refuse() {
  require(false, ErrorCode::dtype, "labels must be i32; got " + text);
  require(ready(")"), ErrorCode::shape, "this message with the number " +  // FAULT
                                            text + " is expected nowhere");
  throw Error(ErrorCode::dtype, "dtype '" + text + "' is unknown");
}
