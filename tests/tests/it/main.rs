//! What crosses crates, against real servers and through the real programs.

mod servers;
