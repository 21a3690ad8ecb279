//! Empty: the examples beside it are the content.
