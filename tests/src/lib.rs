//! What crosses crates: whole runs, faults, real S3 servers and peers.
