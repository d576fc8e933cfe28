//! Faults that stay: every rollout still ends, or asks for a person, and says why.
