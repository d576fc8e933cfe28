mod harness;
mod random;
mod scenarios;
