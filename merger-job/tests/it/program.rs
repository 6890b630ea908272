//! Bad input: each case is one clear sentence, final, and never a panic.
