mod cases;
mod properties;
pub mod values;
